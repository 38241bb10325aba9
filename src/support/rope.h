// Text in pieces: a document of many megabytes is written without ever being moved or doubled.
#pragma once

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace zp {

class Rope {
 public:
  static constexpr size_t kPiece = size_t{1} << 18;

  // Where the next text goes: append to it at once, the reference holds until the next call.
  std::string& tail() {
    if (pieces_.empty() || pieces_.back().size() >= kPiece) {
      pieces_.emplace_back();
      pieces_.back().reserve(kPiece + kPiece / 16);
    }
    return pieces_.back();
  }
  void append(std::string piece) {
    if (!piece.empty()) pieces_.push_back(std::move(piece));
  }
  void append(Rope other) {
    pieces_.insert(pieces_.end(), std::make_move_iterator(other.pieces_.begin()),
                   std::make_move_iterator(other.pieces_.end()));
  }
  bool empty() const { return pieces_.empty(); }
  size_t size() const {
    size_t total = 0;
    for (const std::string& piece : pieces_) total += piece.size();
    return total;
  }
  const std::vector<std::string>& pieces() const { return pieces_; }
  std::string flat() const {
    std::string all;
    all.reserve(size());
    for (const std::string& piece : pieces_) all += piece;
    return all;
  }

 private:
  std::vector<std::string> pieces_;
};

}  // namespace zp
