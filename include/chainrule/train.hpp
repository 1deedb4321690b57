#pragma once

#include <chainrule/train/config.hpp>
#include <chainrule/train/fit.hpp>
#include <chainrule/train/metrics.hpp>
#include <chainrule/train/predictor.hpp>
#include <chainrule/train/preflight.hpp>
