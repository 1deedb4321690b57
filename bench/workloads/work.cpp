// What the declarations say a workload costs at least.

#include <set>

#include "graph/node.hpp"
#include "graph/op.hpp"
#include "workloads/workload.hpp"

namespace bench {
namespace {

namespace cr = chainrule;

double bytes_of(const cr::TensorSpec& spec) {
  return static_cast<double>(cr::element_count(spec.shape)) * static_cast<double>(cr::dtype_size(spec.dtype));
}

}  // namespace

Work work_of(std::span<const cr::Tensor> outputs) {
  Work work;
  const auto is_new = [](const cr::Node& node) { return !node.evaluated.load(); };
  for (const cr::Node* node : cr::collect_nodes(outputs, is_new)) {
    if (!is_new(*node) || node->op->kind == cr::OpKind::leaf) {
      if (node->op != &cr::ops::constant) work.bytes += bytes_of(node->outputs[0]);
    } else if (node->op == &cr::ops::matmul) {
      work.product_flops += cr::flops_of(*node);
      work.dtype = cr::dtype_name(node->outputs[0].dtype);
    } else {
      work.other_flops += cr::flops_of(*node);
    }
  }
  std::set<std::pair<const cr::Node*, int>> counted;
  for (const cr::Tensor& output : outputs) {
    if (counted.insert({output.node(), output.output_index()}).second && is_new(*output.node()))
      work.bytes += bytes_of(cr::spec_of(output));
  }
  return work;
}

}  // namespace bench
