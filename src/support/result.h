// Errors as values. A function that can fail returns Result<T> (or Result<void>); ZP_TRY hands the
// error of a callee to the caller. An Error is a list of diagnostics, because importers collect every
// problem of a file and print one table. No exception crosses a module border.
#pragma once

#include <cassert>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "support/diagnostic.h"

namespace zp {

// What the process should tell its caller; the values are the exit codes of `zp`.
enum class ErrorKind { Refused = 1, Usage = 2, Verification = 3, Internal = 70 };

class [[nodiscard]] Error {
 public:
  explicit Error(Diagnostic diagnostic, ErrorKind kind = ErrorKind::Refused);
  explicit Error(std::vector<Diagnostic> diagnostics, ErrorKind kind = ErrorKind::Refused);
  // The common short form: a constraint id (may be empty) and a lower-case sentence with the numbers.
  Error(std::string id, std::string text, ErrorKind kind = ErrorKind::Refused);

  ErrorKind kind() const { return kind_; }
  const std::vector<Diagnostic>& diagnostics() const { return *diagnostics_; }
  const Diagnostic& first() const { return diagnostics_->front(); }

  // Fills only the fields of the location that are still empty: the innermost place wins.
  Error&& at(const Location& where) &&;
  Error&& in_file(std::string_view file) &&;
  Error&& at_node(std::string_view node, std::string_view module = {}) &&;

  std::string str() const;  // all diagnostics, one a line

 private:
  std::unique_ptr<std::vector<Diagnostic>> diagnostics_;
  ErrorKind kind_;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <typename U>
  requires(std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
           !std::is_same_v<std::remove_cvref_t<U>, Error> && !std::is_same_v<std::remove_cvref_t<U>, Result>)
      Result(U&& value)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Error& error() const& {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::make_unique<Error>(std::move(error))) {}
  bool ok() const { return !error_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    assert(!ok());
    return *error_;
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*error_);
  }

 private:
  std::unique_ptr<Error> error_;
};

using Status = Result<void>;

#define ZP_CONCAT_(a, b) a##b
#define ZP_CONCAT(a, b) ZP_CONCAT_(a, b)
// ZP_TRY(auto x, f()); declares x with the value of f() or returns its error.
#define ZP_TRY(declaration, ...)                                                                  \
  auto ZP_CONCAT(zp_try_, __LINE__) = (__VA_ARGS__);                                              \
  if (!ZP_CONCAT(zp_try_, __LINE__).ok()) return std::move(ZP_CONCAT(zp_try_, __LINE__)).error(); \
  declaration = std::move(ZP_CONCAT(zp_try_, __LINE__)).value()
// ZP_CHECK(f()); returns the error of f(), if any.
#define ZP_CHECK(...)                                                                            \
  do {                                                                                           \
    if (auto zp_status_ = (__VA_ARGS__); !zp_status_.ok()) return std::move(zp_status_).error(); \
  } while (false)

}  // namespace zp
