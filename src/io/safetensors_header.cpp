#include "io/safetensors_header.hpp"

#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include <chainrule/text.hpp>

namespace chainrule::io {
namespace {

using Json = nlohmann::json;

// Counts the bytes that the parser has consumed, which its events do not tell.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    if (furthest_ != nullptr) *furthest_ = at_;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

// The events of the JSON parser. `place_` says what the next event may be; everything else is an error.
class HeaderHandler {
 public:
  HeaderHandler(const FileContext& context, const char* begin, std::map<std::string, std::string>& metadata)
      : context_(context), begin_(begin), cursor_(begin), metadata_(metadata) {}

  const char** cursor() { return &cursor_; }
  std::vector<SafetensorsEntry> take() { return std::move(entries_); }

  bool null() { refuse("null"); }
  bool boolean(bool) { refuse("a bool"); }
  bool number_float(double, const std::string&) { refuse("a real number"); }
  bool binary(Json::binary_t&) { refuse("binary data"); }
  bool number_integer(std::int64_t value) { refuse(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value);
  bool string(std::string& value);
  bool key(std::string& value);
  bool start_object(std::size_t);
  bool end_object();
  bool start_array(std::size_t);
  bool end_array();
  [[noreturn]] bool parse_error(std::size_t, const std::string& token, const nlohmann::detail::exception&);

 private:
  enum class Place { start, root, metadata, tensor, dtype, shape, shape_items, offsets, offset_items, done };

  [[noreturn]] void refuse(const std::string& came) { fail("unexpected content in the header", came); }
  [[noreturn]] void fail(const char* problem, const std::string& came = {}, const char* wanted = nullptr) {
    context_.fail(byte(), problem, came, wanted != nullptr ? wanted : expected(), entry_.name);
  }
  std::uint64_t byte() const { return 8 + static_cast<std::uint64_t>(cursor_ - begin_); }
  const char* expected() const;
  void tensor_key(const std::string& value);

  const FileContext& context_;
  const char* begin_;
  const char* cursor_;
  std::map<std::string, std::string>& metadata_;
  std::vector<SafetensorsEntry> entries_;
  std::set<std::string> names_;
  SafetensorsEntry entry_;
  std::string metadata_key_;
  bool awaits_value_ = false;  // a key of the root or of the metadata has come, its value has not
  bool is_metadata_ = false;
  std::set<std::string> seen_;  // keys of the current tensor
  int offsets_ = 0;
  Place place_ = Place::start;
};

const char* HeaderHandler::expected() const {
  switch (place_) {
    case Place::start:
      return "an object";
    case Place::root:
      return "an object for each name";
    case Place::metadata:
      return "a string for each key of __metadata__";
    case Place::tensor:
      return "dtype, shape and data_offsets";
    case Place::dtype:
      return "a string as dtype";
    case Place::shape:
    case Place::shape_items:
      return "a list of lengths";
    case Place::offsets:
    case Place::offset_items:
      return "a list of two offsets";
    case Place::done:
      return "nothing";
  }
  return "";
}

bool HeaderHandler::number_unsigned(std::uint64_t value) {
  if (place_ == Place::shape_items) {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail("a length is out of range", std::to_string(value), "at most 2^63 - 1");
    }
    if (entry_.shape.size() == max_rank) fail("a tensor has too many dimensions", {}, "at most 8");
    entry_.shape.push_back(static_cast<std::int64_t>(value));
  } else if (place_ == Place::offset_items && offsets_ < 2) {
    (offsets_ == 0 ? entry_.begin : entry_.end) = value;
    ++offsets_;
  } else {
    refuse(std::to_string(value));
  }
  return true;
}

bool HeaderHandler::string(std::string& value) {
  if (place_ == Place::dtype) {
    entry_.dtype = value;
    place_ = Place::tensor;
  } else if (place_ == Place::metadata && awaits_value_) {
    const bool is_new = metadata_.emplace(metadata_key_, value).second;
    if (!is_new) fail("a key of __metadata__ comes twice", quote(metadata_key_));
    awaits_value_ = false;
  } else {
    refuse("the string " + quote(value));
  }
  return true;
}

bool HeaderHandler::key(std::string& value) {
  if (place_ == Place::root) {
    if (!names_.insert(value).second) fail("a name comes twice", quote(value), "each name once");
    is_metadata_ = value == "__metadata__";
    entry_ = {};
    entry_.name = is_metadata_ ? std::string() : value;
    awaits_value_ = true;
  } else if (place_ == Place::metadata) {
    metadata_key_ = value;
    awaits_value_ = true;
  } else {
    tensor_key(value);
  }
  return true;
}

void HeaderHandler::tensor_key(const std::string& value) {
  if (value == "dtype") {
    place_ = Place::dtype;
  } else if (value == "shape") {
    place_ = Place::shape;
  } else if (value == "data_offsets") {
    place_ = Place::offsets;
  } else {
    refuse("the key " + quote(value));
  }
  if (!seen_.insert(value).second) fail("a key comes twice", quote(value));
}

bool HeaderHandler::start_object(std::size_t) {
  if (place_ == Place::start) {
    place_ = Place::root;
  } else if (place_ == Place::root && awaits_value_) {
    place_ = is_metadata_ ? Place::metadata : Place::tensor;
    awaits_value_ = false;
    seen_.clear();
    offsets_ = 0;
  } else {
    refuse("an object");
  }
  return true;
}

bool HeaderHandler::end_object() {
  if (place_ == Place::root) {
    place_ = Place::done;
    return true;
  }
  if (place_ == Place::tensor) {
    if (seen_.size() != 3) fail("a tensor's entry is incomplete");
    entry_.byte = byte();
    entries_.push_back(std::move(entry_));
    entry_ = {};
  }
  place_ = Place::root;
  return true;
}

bool HeaderHandler::start_array(std::size_t) {
  if (place_ == Place::shape) {
    place_ = Place::shape_items;
  } else if (place_ == Place::offsets) {
    place_ = Place::offset_items;
  } else {
    refuse("a list");
  }
  return true;
}

bool HeaderHandler::end_array() {
  if (place_ == Place::offset_items && offsets_ != 2) fail("data_offsets is too short");
  place_ = Place::tensor;
  return true;
}

bool HeaderHandler::parse_error(std::size_t, const std::string& token, const nlohmann::detail::exception&) {
  fail("the header is not JSON", quote(token));
}

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors_header(const FileContext& context, std::string_view text,
                                                       std::map<std::string, std::string>& metadata) {
  if (text.empty() || text.front() != '{') context.fail(8, "the header does not begin with '{'");
  HeaderHandler handler(context, text.data(), metadata);
  const char* end = text.data() + text.size();
  Json::sax_parse(CountingIterator(text.data(), handler.cursor()), CountingIterator(end, nullptr), &handler);
  return handler.take();
}

}  // namespace chainrule::io
