#pragma once

#include <chainrule/optim/optimizer.hpp>
#include <chainrule/optim/optimizers.hpp>
