#include "formats/pt2/pickle.h"

#include <fmt/format.h>

#include <cstring>
#include <unordered_map>

namespace zp::pt2 {
namespace {

// The stack machine. Every opcode adds at most one value, and every list of items was on the stack: memory is
// linear in the input.
class Machine {
 public:
  Machine(std::span<const std::byte> in, std::vector<PickleValue>& values) : in_(in), values_(values) {}

  bool run(uint32_t* root) {
    while (at_ < in_.size()) {
      const auto op = static_cast<char>(in_[at_++]);
      if (op == '.') {
        if (stack_.empty()) return fail("nothing is left at the end");
        *root = stack_.back();
        return true;
      }
      if (!step(op)) return false;
    }
    return fail("it ends without STOP");
  }
  std::string problem;

 private:
  using Kind = PickleValue::Kind;
  bool fail(std::string text) {
    if (problem.empty()) problem = std::move(text);
    return false;
  }
  bool bytes(size_t n, std::string_view* out) {
    if (in_.size() - at_ < n) return fail("it is truncated");
    *out = {reinterpret_cast<const char*>(in_.data()) + at_, n};
    at_ += n;
    return true;
  }
  bool little(size_t n, uint64_t* out) {
    std::string_view raw;
    if (!bytes(n, &raw)) return false;
    *out = 0;
    for (size_t k = 0; k < n; ++k) *out |= uint64_t{static_cast<uint8_t>(raw[k])} << (8 * k);
    return true;
  }
  bool line(std::string_view* out) {
    const size_t begin = at_;
    while (at_ < in_.size() && in_[at_] != std::byte{'\n'}) ++at_;
    if (at_ == in_.size()) return fail("it is truncated");
    *out = {reinterpret_cast<const char*>(in_.data()) + begin, at_ - begin};
    ++at_;
    return true;
  }
  bool push(PickleValue value) {
    stack_.push_back(static_cast<uint32_t>(values_.size()));
    values_.push_back(std::move(value));
    return true;
  }
  bool push_int(int64_t i) {
    PickleValue v;
    v.kind = Kind::Int;
    v.i = i;
    return push(std::move(v));
  }
  bool push_bool(bool b) {
    PickleValue v;
    v.kind = Kind::Bool;
    v.b = b;
    return push(std::move(v));
  }
  bool push_text(Kind kind, std::string_view text) {
    PickleValue v;
    v.kind = kind;
    v.text = text;
    return push(std::move(v));
  }
  bool push_empty(Kind kind) {
    PickleValue v;
    v.kind = kind;
    return push(std::move(v));
  }
  bool pop(uint32_t* out) {
    const size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= floor) return fail("its stack underflows");
    *out = stack_.back();
    stack_.pop_back();
    return true;
  }
  bool pop_mark(std::vector<uint32_t>* out) {
    if (marks_.empty()) return fail("a MARK is missing");
    out->assign(stack_.begin() + static_cast<ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return true;
  }
  bool tuple(size_t n) {
    PickleValue v;
    v.kind = Kind::Tuple;
    v.items.resize(n);
    for (size_t k = n; k-- > 0;)
      if (!pop(&v.items[k])) return false;
    return push(std::move(v));
  }
  // Adds to the list or dict on top of the stack.
  bool extend(Kind kind, std::span<const uint32_t> items) {
    if (stack_.empty() || (kind == Kind::Dict && items.size() % 2 != 0))
      return fail("items without a container");
    PickleValue& target = values_[stack_.back()];
    // OrderedDict is a call; its items are kept like a dict's behind its callee, arguments and an empty
    // state.
    if (target.kind == Kind::Call && kind == Kind::Dict) {
      target.kind = Kind::Dict;
      target.items.clear();
    }
    if (target.kind != kind) return fail("items for something that is no container");
    target.items.insert(target.items.end(), items.begin(), items.end());
    return true;
  }
  bool memo_put(uint64_t key) {
    if (stack_.empty()) return fail("its stack underflows");
    memo_[key] = stack_.back();
    return true;
  }
  bool memo_get(uint64_t key) {
    auto found = memo_.find(key);
    if (found == memo_.end()) return fail("it refers to a value that was not stored");
    stack_.push_back(found->second);
    return true;
  }
  bool call(bool state) {
    uint32_t second = 0, first = 0;
    if (!pop(&second) || !pop(&first)) return false;
    if (state) {  // BUILD: state for an object
      if (values_[first].kind == Kind::Call) values_[first].items.push_back(second);
      stack_.push_back(first);
      return true;
    }
    PickleValue v;
    v.kind = Kind::Call;
    v.items = {first, second};
    return push(std::move(v));
  }
  bool long_value(size_t n) {
    uint64_t raw = 0;
    if (n > 8) return fail("an integer has more than 64 bits");
    if (!little(n, &raw)) return false;
    if (n > 0 && n < 8 && (raw >> (8 * n - 1) & 1) != 0) raw |= ~uint64_t{0} << (8 * n);
    return push_int(static_cast<int64_t>(raw));
  }

  bool step(char op);

  std::span<const std::byte> in_;
  std::vector<PickleValue>& values_;
  size_t at_ = 0;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
};

bool Machine::step(char op) {
  uint64_t n = 0;
  uint32_t a = 0, b = 0;
  std::string_view text, second;
  std::vector<uint32_t> items;
  switch (op) {
    case '\x80': return little(1, &n);                       // PROTO
    case '\x95': return little(8, &n);                       // FRAME
    case '(': marks_.push_back(stack_.size()); return true;  // MARK
    case 'N': return push_empty(Kind::None);
    case '\x88': return push_bool(true);
    case '\x89': return push_bool(false);
    case 'K': return little(1, &n) && push_int(static_cast<int64_t>(n));
    case 'M': return little(2, &n) && push_int(static_cast<int64_t>(n));
    case 'J': return little(4, &n) && push_int(static_cast<int32_t>(static_cast<uint32_t>(n)));
    case '\x8a': return little(1, &n) && long_value(n);
    case 'G': {
      if (!bytes(8, &text)) return false;
      uint64_t bits = 0;
      for (char c : text) bits = bits << 8 | static_cast<uint8_t>(c);
      PickleValue v;
      v.kind = Kind::Float;
      std::memcpy(&v.f, &bits, 8);
      return push(std::move(v));
    }
    case 'X': return little(4, &n) && bytes(n, &text) && push_text(Kind::String, text);
    case '\x8c': return little(1, &n) && bytes(n, &text) && push_text(Kind::String, text);
    case '\x8d': return little(8, &n) && bytes(n, &text) && push_text(Kind::String, text);
    case 'B': return little(4, &n) && bytes(n, &text) && push_text(Kind::String, text);
    case 'C': return little(1, &n) && bytes(n, &text) && push_text(Kind::String, text);
    case 'c': {
      if (!line(&text) || !line(&second)) return false;
      // Both lines stand next to each other: "module\nname".
      return push_text(Kind::Global,
                       {text.data(), static_cast<size_t>(second.data() + second.size() - text.data())});
    }
    case '\x93': {  // STACK_GLOBAL
      if (!pop(&b) || !pop(&a)) return false;
      PickleValue v;
      v.kind = Kind::Global;
      v.text = values_[b].text;
      v.items = {a};
      return push(std::move(v));
    }
    case ')': return push_empty(Kind::Tuple);
    case ']': return push_empty(Kind::List);
    case '}': return push_empty(Kind::Dict);
    case '\x85': return tuple(1);
    case '\x86': return tuple(2);
    case '\x87': return tuple(3);
    case 't':
    case 'l':
    case 'd': {
      PickleValue v;
      v.kind = op == 't' ? Kind::Tuple : op == 'l' ? Kind::List : Kind::Dict;
      return pop_mark(&v.items) && push(std::move(v));
    }
    case 'a': return pop(&a) && extend(Kind::List, std::span(&a, 1));
    case 'e': return pop_mark(&items) && extend(Kind::List, items);
    case 's': {
      if (!pop(&b) || !pop(&a)) return false;
      const uint32_t pair[] = {a, b};
      return extend(Kind::Dict, pair);
    }
    case 'u': return pop_mark(&items) && extend(Kind::Dict, items);
    case 'q': return little(1, &n) && memo_put(n);
    case 'r': return little(4, &n) && memo_put(n);
    case '\x94': return memo_put(memo_.size());  // MEMOIZE
    case 'h': return little(1, &n) && memo_get(n);
    case 'j': return little(4, &n) && memo_get(n);
    case 'R':
    case '\x81': return call(false);  // REDUCE, NEWOBJ
    case 'b': return call(true);      // BUILD
    case 'Q': {
      PickleValue v;
      v.kind = Kind::Persistent;
      if (!pop(&a)) return false;
      v.items = {a};
      return push(std::move(v));
    }
    case '0': return pop(&a);
    default:
      return fail(
          fmt::format("it uses opcode {:#04x}, which no tensor file needs", static_cast<uint8_t>(op)));
  }
}

// "module\nname" of a GLOBAL against "module name".
bool same_global(std::string_view text, std::string_view wanted) {
  if (text.size() != wanted.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != wanted[i] && !(text[i] == '\n' && wanted[i] == ' ')) return false;
  }
  return true;
}

struct StorageClass {
  std::string_view name;
  DType dtype;
};
constexpr StorageClass kStorages[] = {
    {"torch FloatStorage", DType::F32},        {"torch DoubleStorage", DType::F64},
    {"torch HalfStorage", DType::F16},         {"torch BFloat16Storage", DType::BF16},
    {"torch CharStorage", DType::I8},          {"torch ByteStorage", DType::U8},
    {"torch ShortStorage", DType::I16},        {"torch IntStorage", DType::I32},
    {"torch LongStorage", DType::I64},         {"torch BoolStorage", DType::Bool},
    {"torch ComplexFloatStorage", DType::C64}, {"torch ComplexDoubleStorage", DType::C128},
};
constexpr StorageClass kDTypeObjects[] = {
    {"torch uint16", DType::U16},
    {"torch uint32", DType::U32},
    {"torch uint64", DType::U64},
    {"torch float8_e4m3fn", DType::F8E4M3},
    {"torch float8_e5m2", DType::F8E5M2},
    {"torch float8_e4m3fnuz", DType::F8E4M3FNUZ},
    {"torch float8_e5m2fnuz", DType::F8E5M2FNUZ},
    {"torch float8_e8m0fnu", DType::F8E8M0},
};

bool read_ints(const Pickle& pickle, const PickleValue* tuple, std::vector<int64_t>& out) {
  if (tuple == nullptr || (tuple->kind != PickleValue::Tuple && tuple->kind != PickleValue::List))
    return false;
  for (size_t k = 0; k < tuple->items.size(); ++k) {
    if (pickle.item(*tuple, k)->kind != PickleValue::Int) return false;
    out.push_back(pickle.item(*tuple, k)->i);
  }
  return true;
}

}  // namespace

Result<Pickle> Pickle::parse(std::span<const std::byte> bytes, std::string_view what) {
  Pickle pickle;
  Machine machine(bytes, pickle.values_);
  if (!machine.run(&pickle.root_))
    return Error("pt2.pickle", fmt::format("the pickle in '{}' cannot be read: {}", what, machine.problem));
  return pickle;
}

bool Pickle::is_call(const PickleValue& value, std::string_view global, const PickleValue** arguments) const {
  if (value.kind != PickleValue::Call || value.items.size() < 2) return false;
  const PickleValue& callee = at(value.items[0]);
  if (callee.kind != PickleValue::Global || !callee.items.empty() || !same_global(callee.text, global))
    return false;
  *arguments = &at(value.items[1]);
  return (*arguments)->kind == PickleValue::Tuple;
}

Result<TorchFile> TorchFile::open(Blob bytes, std::string_view what) {
  TorchFile file;
  file.what_ = what;
  if (!looks_like_zip(bytes.bytes())) {
    return Error(
        "pt2.pickle",
        fmt::format("'{}' is no torch.save zip file (files of torch before 1.6 are not read)", what));
  }
  auto zip = Zip::open(std::move(bytes));
  if (!zip.ok()) {
    return Error("pt2.pickle",
                 fmt::format("'{}' is no torch.save zip file: {}", what, zip.error().first().text));
  }
  file.zip_ = std::move(*zip);
  for (const ZipEntry& entry : file.zip_.entries()) {
    if (!entry.name.ends_with("/data.pkl")) continue;
    file.folder_ = entry.name.substr(0, entry.name.size() - 8);
    ZP_CHECK(file.zip_.verify(entry));
    ZP_TRY(const Blob pickle, file.zip_.payload(entry));
    if (!entry.stored()) return Error("pt2.pickle", fmt::format("'{}' has a deflated pickle", what));
    ZP_TRY(file.pickle_, Pickle::parse(pickle.bytes(), what));
    return file;
  }
  return Error("pt2.pickle", fmt::format("'{}' has no data.pkl: it is no torch.save file", what));
}

Result<PickledTensor> TorchFile::tensor(const PickleValue& value) const {
  const PickleValue* args = nullptr;
  auto refuse = [&](std::string_view why) {
    return Error("pt2.pickle", fmt::format("a value in '{}' {}", what_, why));
  };
  if (pickle_.is_call(value, "torch._utils _rebuild_parameter", &args) && args->items.size() >= 2) {
    const PickleValue& inner = *pickle_.item(*args, 0);
    const PickleValue* ignored = nullptr;
    if (pickle_.is_call(inner, "torch._utils _rebuild_parameter", &ignored))
      return refuse("is a parameter of a parameter");
    ZP_TRY(PickledTensor t, tensor(inner));
    t.requires_grad = pickle_.item(*args, 1)->b;
    return t;
  }
  const bool v3 = pickle_.is_call(value, "torch._utils _rebuild_tensor_v3", &args);
  if (!v3 && !pickle_.is_call(value, "torch._utils _rebuild_tensor_v2", &args))
    return refuse("is no plain tensor");
  const PickleValue* id = pickle_.item(*args, 0);
  if (id == nullptr || id->kind != PickleValue::Persistent) return refuse("is a tensor without storage");
  const PickleValue& storage = pickle_.at(id->items[0]);
  const PickleValue* type = pickle_.item(storage, 1);
  const PickleValue* key = pickle_.item(storage, 2);
  if (storage.kind != PickleValue::Tuple || type == nullptr || key == nullptr ||
      key->kind != PickleValue::String) {
    return refuse("is a tensor without storage");
  }
  PickledTensor t;
  for (const StorageClass& s : kStorages)
    if (same_global(type->text, s.name)) t.dtype = s.dtype;
  if (v3) {  // untyped storage, the dtype is argument 6
    const PickleValue* dtype = pickle_.item(*args, 6);
    for (const StorageClass& s : kDTypeObjects)
      if (dtype != nullptr && same_global(dtype->text, s.name)) t.dtype = s.dtype;
  }
  if (t.dtype == DType::Unknown)
    return refuse(fmt::format("has elements of a type that is not known ({})", type->text.substr(0, 60)));
  const PickleValue* offset = pickle_.item(*args, 1);
  if (offset == nullptr || offset->kind != PickleValue::Int ||
      !read_ints(pickle_, pickle_.item(*args, 2), t.sizes) ||
      !read_ints(pickle_, pickle_.item(*args, 3), t.strides)) {
    return refuse("is a tensor whose sizes cannot be read");
  }
  if (t.sizes.size() != t.strides.size())
    return refuse(fmt::format("is a tensor of {} sizes and {} strides", t.sizes.size(), t.strides.size()));
  t.offset = offset->i;
  if (const PickleValue* grad = pickle_.item(*args, 4)) t.requires_grad = grad->b;
  const ZipEntry* entry = zip_.find(fmt::format("{}data/{}", folder_, key->text));
  if (entry == nullptr) return refuse(fmt::format("refers to storage '{}', which is missing", key->text));
  ZP_TRY(t.storage, zip_.payload(*entry));
  return t;
}

const PickleValue* TorchFile::subclass_state(const PickleValue& value, std::string_view* name) const {
  const PickleValue* args = nullptr;
  const PickleValue* target = &value;
  if (pickle_.is_call(value, "torch._utils _rebuild_parameter", &args) && !args->items.empty())
    target = pickle_.item(*args, 0);
  if (!pickle_.is_call(*target, "torch._tensor _rebuild_from_type_v2", &args) || args->items.size() < 4)
    return nullptr;
  const PickleValue* builder = pickle_.item(*args, 0);
  if (builder->kind != PickleValue::Global ||
      !same_global(builder->text, "torch._utils _rebuild_wrapper_subclass"))
    return nullptr;
  const PickleValue* type = pickle_.item(*args, 1);
  const PickleValue* state = pickle_.item(*args, 3);
  if (type->kind != PickleValue::Global || state->kind != PickleValue::Dict) return nullptr;
  *name = type->text;
  return state;
}

std::string_view TorchFile::subclass_name(const PickleValue& value) const {
  std::string_view name;
  return subclass_state(value, &name) != nullptr ? name : std::string_view();
}

Result<std::vector<TorchFile::Named>> TorchFile::subclass_parts(const PickleValue& value) const {
  std::vector<Named> parts;
  std::string_view name;
  const PickleValue* state = subclass_state(value, &name);
  if (state == nullptr) return parts;
  for (size_t k = 0; k + 1 < state->items.size(); k += 2) {
    const PickleValue& key = *pickle_.item(*state, k);
    const PickleValue& inner = *pickle_.item(*state, k + 1);
    if (key.kind != PickleValue::String || inner.kind != PickleValue::Call) continue;
    auto part = tensor(inner);
    if (part.ok()) parts.push_back({key.text, std::move(*part)});
  }
  return parts;
}

}  // namespace zp::pt2
