#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include <chainrule/export.hpp>

namespace chainrule {

/// What an error says, part by part, so that programs can read it and tests can check it without
/// depending on the wording. Parts that do not apply stay empty.
struct ErrorParts {
  std::string function;  ///< the public function that was called: `matmul`
  std::string argument;  ///< the argument at fault: `b`
  std::string problem;   ///< what is wrong, in one sentence
  std::string got;       ///< what came: shapes, dtypes, values; for files the file and byte or line
  std::string wanted;    ///< what would have been accepted
  std::string hint;      ///< what to try
  std::string region;    ///< where in the model: `Sequential[1].Linear`; filled in when left empty
};

/// The base of every exception that Chainrule throws.
class CHAINRULE_API Error : public std::runtime_error {
 public:
  explicit Error(ErrorParts parts);
  const ErrorParts& parts() const noexcept { return parts_; }

 private:
  ErrorParts parts_;
};

/// Shapes that do not fit each other or the function.
class CHAINRULE_API ShapeError : public Error {
 public:
  using Error::Error;
};

/// A dtype that the function does not take, or a value that does not fit the dtype asked for.
class CHAINRULE_API DTypeError : public Error {
 public:
  using Error::Error;
};

/// An argument outside its range, an unknown name, a wrong option.
class CHAINRULE_API ArgumentError : public Error {
 public:
  using Error::Error;
};

/// A file that can't be opened, is truncated, or does not hold what its header promises.
class CHAINRULE_API IoError : public Error {
 public:
  using Error::Error;
};

/// A call that is not possible at this point, such as reading a value while `compile` traces.
class CHAINRULE_API StateError : public Error {
 public:
  using Error::Error;
};

/// A NaN or an infinity where training needs a finite number.
class CHAINRULE_API NumericError : public Error {
 public:
  using Error::Error;
};

/// Names the part of a model that is being built or run, for the time of its scope. Errors, profiles
/// and probes speak of the joined path: `Sequential[2].Linear`. Nests; one stack per thread.
class CHAINRULE_API Region {
 public:
  /// Opens a region called `name`; with an index it reads `name[index]`.
  explicit Region(std::string_view name);
  Region(std::string_view name, long index);
  ~Region();
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  /// The path of the innermost open region of this thread; empty outside of any.
  static const std::string& current();

 private:
  std::size_t length_before_;
};

}  // namespace chainrule
