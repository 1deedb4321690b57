#!/bin/bash
# Writes include/chainrule/chainrule.hpp: every header of the folder itself (those of subfolders come with them).
cd "$(dirname "$0")/.." || exit 1
{
  printf '#pragma once\n\n/// Everything: `#include <chainrule/chainrule.hpp>`.\n\n'
  export LC_ALL=C
  for header in include/chainrule/*.hpp; do
    [ "$header" = include/chainrule/chainrule.hpp ] || echo "#include <${header#include/}>"
  done
} >include/chainrule/chainrule.hpp.new && mv include/chainrule/chainrule.hpp.new include/chainrule/chainrule.hpp
