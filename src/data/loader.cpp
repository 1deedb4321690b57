#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include <chainrule/error.hpp>

#include "data/batches.hpp"
#include "kernels/parallel.hpp"
#include "kernels/signals.hpp"

namespace chainrule::data {
namespace {

/// Where a core is free to make them: one batch that waits while the next is made.
constexpr std::int64_t usual_prefetch = 2;
constexpr std::int64_t most_prefetch = 1024;

/// Makes batches ahead, on a thread of its own.
class Prefetcher {
 public:
  Prefetcher(BatchMaker& maker, std::int64_t most) : maker_(maker), most_(static_cast<std::size_t>(most)) {
    const kernels::SignalsBlocked quiet;
    thread_ = std::thread([this] { work(); });
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;
  ~Prefetcher();

  void start(EpochOrder epoch);
  std::optional<Batch> next();

 private:
  void work();

  BatchMaker& maker_;
  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable changed_;
  EpochOrder epoch_;              // its next batch is the thread's
  std::int64_t taken_ = 0;        // the next batch of the epoch that is given out
  std::uint64_t generation_ = 0;  // counts calls of start: what was begun before is dropped
  std::deque<Batch> ready_;
  std::exception_ptr failure_;
  bool stopping_ = false;
  std::thread thread_;  // last: it uses everything above
};

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Prefetcher::start(EpochOrder epoch) {
  {
    const std::lock_guard lock(mutex_);
    epoch_ = std::move(epoch);
    taken_ = epoch_.next;
    ++generation_;
    ready_.clear();
    failure_ = nullptr;
  }
  changed_.notify_all();
}

std::optional<Batch> Prefetcher::next() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !ready_.empty() || failure_ || taken_ == epoch_.end; });
  if (taken_ == epoch_.end) return std::nullopt;
  if (ready_.empty()) std::rethrow_exception(failure_);
  ++taken_;
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  lock.unlock();
  changed_.notify_all();
  return batch;
}

void Prefetcher::work() {
  set_thread_count(1);  // of this thread: the pool's are the step's
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(
        lock, [&] { return stopping_ || (epoch_.next < epoch_.end && ready_.size() < most_ && !failure_); });
    if (stopping_) return;
    const std::uint64_t begun = generation_;
    const std::span<const std::int64_t> batch_rows = epoch_.batch();
    const std::vector<std::int64_t> rows(batch_rows.begin(), batch_rows.end());
    ++epoch_.next;
    lock.unlock();
    std::optional<Batch> batch;
    std::exception_ptr problem;
    try {
      batch = maker_.make(rows);
    } catch (...) {
      problem = std::current_exception();
    }
    lock.lock();
    if (begun == generation_) {
      if (batch) ready_.push_back(std::move(*batch));
      failure_ = problem;
    }
    batch.reset();
    changed_.notify_all();
  }
}

std::int64_t batch_count(const Dataset& dataset, const LoaderOptions& options) {
  return options.drop_last ? dataset.size() / options.batch_size
                           : (dataset.size() + options.batch_size - 1) / options.batch_size;
}

void check_options(const Dataset& dataset, const LoaderOptions& options) {
  dataset.check();
  if (options.batch_size < 1) {
    throw ArgumentError({.function = "data::Loader",
                         .argument = "batch_size",
                         .problem = "a batch needs an example",
                         .got = std::to_string(options.batch_size),
                         .wanted = "1 or more"});
  }
  if (batch_count(dataset, options) == 0) {
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
  if (options.prefetch && (*options.prefetch < 0 || *options.prefetch > most_prefetch)) {
    throw ArgumentError(
        {.function = "data::Loader",
         .argument = "prefetch",
         .problem = "the number of batches ahead is out of range",
         .got = std::to_string(*options.prefetch),
         .wanted = "0 (each batch is made when asked for) to " + std::to_string(most_prefetch)});
  }
}

std::int64_t effective_prefetch(const LoaderOptions& options) {
  const bool core_is_free = thread_count() < usable_cores();
  return options.prefetch.value_or(core_is_free ? usual_prefetch : 0);
}

}  // namespace

struct Loader::Impl {
  Dataset dataset;
  LoaderOptions options;
  std::int64_t prefetch;
  BatchMaker maker;
  EpochOrder epoch;                      // where `next` makes the batches
  std::optional<Prefetcher> prefetcher;  // where it does not; last: it uses the maker

  Impl(Dataset d, const LoaderOptions& o)
      : dataset((check_options(d, o), std::move(d))),
        options(o),
        prefetch(effective_prefetch(o)),
        maker(dataset, options) {
    if (prefetch > 0) prefetcher.emplace(maker, prefetch);
  }
};

Loader::Loader(Dataset dataset, const LoaderOptions& options)
    : impl_(std::make_unique<Impl>(std::move(dataset), options)) {
  start(0);
}
Loader::~Loader() = default;
Loader::Loader(Loader&&) noexcept = default;
Loader& Loader::operator=(Loader&&) noexcept = default;

void Loader::start(std::int64_t epoch, std::int64_t first_batch) {
  const LoaderOptions& options = impl_->options;
  EpochOrder begun{.batch_size = options.batch_size,
                   .next = std::clamp<std::int64_t>(first_batch, 0, batches()),
                   .end = batches()};
  if (options.shuffle) {
    // Seeds of neighbouring epochs must not give related orders: the multiplier is odd, so none collide.
    begun.examples = permutation(impl_->dataset.size(),
                                 options.seed + 0xd1342543de82ef95U * static_cast<std::uint64_t>(epoch + 1));
  } else {
    begun.examples.resize(static_cast<std::size_t>(impl_->dataset.size()));
    std::iota(begun.examples.begin(), begun.examples.end(), 0);
  }
  if (impl_->prefetcher) {
    impl_->prefetcher->start(std::move(begun));
  } else {
    impl_->epoch = std::move(begun);
  }
}

std::optional<Batch> Loader::next() {
  if (impl_->prefetcher) return impl_->prefetcher->next();
  EpochOrder& epoch = impl_->epoch;
  if (epoch.next == epoch.end) return std::nullopt;
  Batch batch = impl_->maker.make(epoch.batch());
  ++epoch.next;
  return batch;
}

std::int64_t Loader::batches() const { return batch_count(impl_->dataset, impl_->options); }
std::int64_t Loader::prefetch() const { return impl_->prefetch; }
const Dataset& Loader::dataset() const { return impl_->dataset; }

}  // namespace chainrule::data
