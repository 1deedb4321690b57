#pragma once

#include <chainrule/train/fit.hpp>
#include <chainrule/train/metrics.hpp>
