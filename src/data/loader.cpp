#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include <chainrule/data.hpp>
#include <chainrule/error.hpp>

#include "data/rows.hpp"
#include "graph/node.hpp"
#include "kernels/signals.hpp"

namespace chainrule::data {
namespace {

constexpr std::size_t batches_ahead = 2;

/// Whether nobody but its owner holds the tensor or its memory.
bool is_free(const Tensor& tensor) {
  return tensor.node()->references.load(std::memory_order_acquire) == 1 &&
         storage_of(tensor).buffer.writable_in_place();
}

}  // namespace

struct Loader::Impl {
  Dataset dataset;
  LoaderOptions options;
  HostArray features;
  HostArray targets;
  DType feature_dtype;
  DType target_dtype;
  std::optional<RowScaling> scaling;
  std::vector<Batch> pool;  // every batch ever made; the free ones are used again

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::int64_t> order;  // of the current epoch
  std::int64_t prepared = 0;        // the next batch that the thread makes
  std::int64_t taken = 0;           // the next batch that `next` returns
  std::int64_t end = 0;             // batches of the current epoch
  std::uint64_t generation = 0;     // counts calls of start: what was begun before is dropped
  std::deque<Batch> ready;
  std::exception_ptr failure;
  bool stopping = false;
  std::thread thread;  // last: it uses everything above

  Impl(Dataset d, const LoaderOptions& o);
  ~Impl();
  std::int64_t batches() const {
    return options.drop_last ? dataset.size() / options.batch_size
                             : (dataset.size() + options.batch_size - 1) / options.batch_size;
  }
  void work();
  Batch& free_batch(std::int64_t rows);
  Batch make(std::span<const std::int64_t> rows);
};

Loader::Impl::Impl(Dataset d, const LoaderOptions& o) : dataset(std::move(d)), options(o) {
  dataset.check();
  if (options.batch_size < 1) {
    throw ArgumentError({.function = "data::Loader",
                         .argument = "batch_size",
                         .problem = "a batch needs an example",
                         .got = std::to_string(options.batch_size),
                         .wanted = "1 or more"});
  }
  if (batches() == 0) {
    throw ArgumentError({.function = "data::Loader",
                         .argument = "dataset",
                         .problem = "the data set gives no batch",
                         .got = std::to_string(dataset.size()) + " examples, batches of " +
                                std::to_string(options.batch_size) +
                                (options.drop_last ? ", drop_last" : "")});
  }
  if (!is_floating(options.dtype) || options.dtype == DType::bfloat16) {
    throw DTypeError({.function = "data::Loader",
                      .argument = "dtype",
                      .problem = "batches can't have this dtype",
                      .got = std::string(dtype_name(options.dtype)),
                      .wanted = "float32 or float64"});
  }
  features = dataset.features.to_host();
  targets = dataset.targets.to_host();
  feature_dtype = is_index(features.dtype) ? features.dtype : options.dtype;
  target_dtype = dataset.task == Task::classification ? DType::int64 : options.dtype;
  if (dataset.scaling) {
    const auto shift = dataset.scaling->shift.to_vector<double>();
    const auto scale = dataset.scaling->scale.to_vector<double>();
    const std::size_t width = shift.size();
    if (width != scale.size() ||
        (width != 1 && width != static_cast<std::size_t>(element_count(dataset.example_shape())))) {
      throw ShapeError({.function = "data::Loader",
                        .argument = "scaling",
                        .problem = "the scaling was made for other features",
                        .got = to_string(dataset.scaling->shift.shape()),
                        .wanted = to_string(dataset.example_shape())});
    }
    scaling.emplace(shift, scale, features, options.dtype);
  }
  const kernels::SignalsBlocked quiet;
  thread = std::thread([this] { work(); });
}

Loader::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    stopping = true;
  }
  changed.notify_all();
  thread.join();
}

Batch& Loader::Impl::free_batch(std::int64_t rows) {
  for (Batch& batch : pool) {
    if (batch.size() == rows && is_free(batch.features) && is_free(batch.targets)) return batch;
  }
  Shape feature_shape = features.shape;
  Shape target_shape = targets.shape;
  feature_shape[0] = target_shape[0] = rows;
  pool.push_back({Tensor(HostArray::uninitialized(feature_dtype, feature_shape)),
                  Tensor(HostArray::uninitialized(target_dtype, target_shape))});
  return pool.back();
}

Batch Loader::Impl::make(std::span<const std::int64_t> rows) {
  Batch& batch = free_batch(static_cast<std::int64_t>(rows.size()));
  void* x = storage_of(batch.features).buffer.data();
  void* y = storage_of(batch.targets).buffer.data();
  if (is_index(features.dtype)) {
    copy_rows(features, rows, x);
  } else if (scaling) {
    (*scaling)(features, rows, x);
  } else {
    convert_rows(features, rows, options.dtype, x);
  }
  if (dataset.task == Task::classification) {
    copy_rows(targets, rows, y);
  } else {
    convert_rows(targets, rows, options.dtype, y);
  }
  return batch;
}

void Loader::Impl::work() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock,
                 [&] { return stopping || (prepared < end && ready.size() < batches_ahead && !failure); });
    if (stopping) return;
    const std::uint64_t begun = generation;
    const auto first = static_cast<std::size_t>(prepared++ * options.batch_size);
    const std::size_t count = std::min(static_cast<std::size_t>(options.batch_size), order.size() - first);
    const std::vector<std::int64_t> rows(order.begin() + static_cast<std::ptrdiff_t>(first),
                                         order.begin() + static_cast<std::ptrdiff_t>(first + count));
    lock.unlock();
    std::optional<Batch> batch;
    std::exception_ptr problem;
    try {
      batch = make(rows);
    } catch (...) {
      problem = std::current_exception();
    }
    lock.lock();
    if (begun == generation) {
      if (batch) ready.push_back(std::move(*batch));
      failure = problem;
    }
    batch.reset();
    changed.notify_all();
  }
}

Loader::Loader(Dataset dataset, const LoaderOptions& options)
    : impl_(std::make_unique<Impl>(std::move(dataset), options)) {
  start(0);
}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

void Loader::start(std::int64_t epoch, std::int64_t first_batch) {
  Impl& impl = *impl_;
  std::vector<std::int64_t> order;
  if (impl.options.shuffle) {
    // Seeds of neighbouring epochs must not give related orders: the multiplier is odd, so none collide.
    order = permutation(impl.dataset.size(),
                        impl.options.seed + 0xd1342543de82ef95U * static_cast<std::uint64_t>(epoch + 1));
  } else {
    order.resize(static_cast<std::size_t>(impl.dataset.size()));
    std::iota(order.begin(), order.end(), 0);
  }
  {
    const std::lock_guard lock(impl.mutex);
    impl.order = std::move(order);
    impl.prepared = impl.taken = std::clamp<std::int64_t>(first_batch, 0, impl.batches());
    impl.end = impl.batches();
    ++impl.generation;
    impl.ready.clear();
    impl.failure = nullptr;
  }
  impl.changed.notify_all();
}

std::optional<Batch> Loader::next() {
  Impl& impl = *impl_;
  std::unique_lock lock(impl.mutex);
  impl.changed.wait(lock, [&] { return !impl.ready.empty() || impl.failure || impl.taken == impl.end; });
  if (impl.failure) std::rethrow_exception(impl.failure);
  if (impl.ready.empty()) return std::nullopt;
  ++impl.taken;
  Batch batch = std::move(impl.ready.front());
  impl.ready.pop_front();
  lock.unlock();
  impl.changed.notify_all();
  return batch;
}

std::int64_t Loader::batches() const { return impl_->batches(); }
const Dataset& Loader::dataset() const { return impl_->dataset; }

}  // namespace chainrule::data
