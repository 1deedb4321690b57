#pragma once

#include <chainrule/optim/optimizer.hpp>
#include <chainrule/optim/optimizers.hpp>
#include <chainrule/optim/schedules.hpp>
