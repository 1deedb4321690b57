#pragma once

/// Everything: `#include <chainrule/chainrule.hpp>`.

#include <chainrule/benchmark.hpp>
#include <chainrule/buffer.hpp>
#include <chainrule/check.hpp>
#include <chainrule/compile.hpp>
#include <chainrule/context.hpp>
#include <chainrule/control.hpp>
#include <chainrule/data.hpp>
#include <chainrule/description.hpp>
#include <chainrule/dlpack.hpp>
#include <chainrule/dtype.hpp>
#include <chainrule/error.hpp>
#include <chainrule/explain.hpp>
#include <chainrule/export.hpp>
#include <chainrule/expression.hpp>
#include <chainrule/function_ref.hpp>
#include <chainrule/io.hpp>
#include <chainrule/machine.hpp>
#include <chainrule/nn.hpp>
#include <chainrule/ops.hpp>
#include <chainrule/optim.hpp>
#include <chainrule/probe.hpp>
#include <chainrule/profile.hpp>
#include <chainrule/random.hpp>
#include <chainrule/report.hpp>
#include <chainrule/shape.hpp>
#include <chainrule/tensor.hpp>
#include <chainrule/text.hpp>
#include <chainrule/threads.hpp>
#include <chainrule/train.hpp>
#include <chainrule/transforms.hpp>
#include <chainrule/tree.hpp>
#include <chainrule/version.hpp>
