#include <chainrule/nn/module.hpp>

#include <chainrule/ops.hpp>

namespace chainrule::nn {

Tensor Module::operator()(const Tensor& x) const {
  if (self_ == nullptr) {
    throw StateError(
        {.function = "nn::Module", .problem = "this handle holds no module", .wanted = "a layer or a model"});
  }
  return self_->call(x);
}

Tensor Module::predict(const Tensor& x) const { return nn::predict(*this, x); }
void Module::save(const std::string& path) const { nn::save(*this, path); }
void Module::visit(Visitor& v) {
  if (self_ != nullptr) self_->visit(v);
}

Tensor Sequential::operator()(const Tensor& x) const {
  Tensor y = x;
  for (std::size_t i = 0; i < modules_.size(); ++i) {
    const Region region("Sequential", static_cast<long>(i));
    y = modules_[i](y);
  }
  return y;
}

Tensor Sequential::predict(const Tensor& x) const { return nn::predict(*this, x); }
void Sequential::save(const std::string& path) const { nn::save(*this, path); }
void Sequential::visit(Visitor& v) { v.visit_part(modules_); }

Module& Sequential::operator[](std::int64_t i) {
  const std::int64_t position = i < 0 ? i + size() : i;
  if (position < 0 || position >= size()) {
    throw ArgumentError({.function = "Sequential::operator[]",
                         .argument = "i",
                         .problem = "there is no module at this position",
                         .got = std::to_string(i),
                         .wanted = "a position among " + std::to_string(size()) + " modules"});
  }
  return modules_[static_cast<std::size_t>(position)];
}

Tensor Residual::operator()(const Tensor& x) const {
  const Region region(type_name);
  return x + module(x);
}
void Residual::visit(Visitor& v) { v("module", module); }

}  // namespace chainrule::nn
