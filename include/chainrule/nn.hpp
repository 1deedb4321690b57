#pragma once

#include <chainrule/nn/activations.hpp>
#include <chainrule/nn/init.hpp>
#include <chainrule/nn/layers.hpp>
#include <chainrule/nn/losses.hpp>
#include <chainrule/nn/module.hpp>
#include <chainrule/nn/record.hpp>
#include <chainrule/nn/regularization.hpp>
#include <chainrule/nn/summary.hpp>
