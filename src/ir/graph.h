// The graph: values with types, nodes in topological order, regions, uses. Everything lives in the arena
// of a Context and has a stable address. Each Value has an intrusive list of its uses, so replacing it
// costs its number of uses. All mutation goes through the member functions here, which keep uses, order
// and the change counter right.
#pragma once

#include <tsl/robin_map.h>

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/constant.h"
#include "ir/op_def.h"
#include "ir/type.h"
#include "support/arena.h"

namespace zp {

class Graph;
class Node;
class Value;

// Where a node came from, for messages and reports. Arena memory.
struct Origin {
  std::string_view name;              // name in the source model
  std::string_view target;            // operator in the source's own words, e.g. aten.conv2d.default
  std::string_view module;            // module path, e.g. features.0
  uint32_t line = 0, column = 0;      // text sources
  const void* format_data = nullptr;  // what the source format wants back on export (metadata)
};

// One operand slot of a node.
class Use {
 public:
  Value* value() const { return value_; }
  Node* user() const { return user_; }
  uint32_t index() const { return index_; }
  Use* next() const { return next_; }

 private:
  friend class Node;
  friend class Value;
  friend class Graph;
  Value* value_ = nullptr;
  Node* user_ = nullptr;
  uint32_t index_ = 0;
  Use* next_ = nullptr;
  Use** back_ = nullptr;
  void unlink();
  void link(Value* value);
};

class Value {
 public:
  std::string_view name() const { return name_; }
  const Type& type() const { return *type_; }
  const Type* type_ptr() const { return type_; }
  Node* def() const { return def_; }  // null: an input of `graph()`
  Graph* graph() const { return graph_; }
  uint32_t index() const { return index_; }  // result number, or input number

  bool has_uses() const { return first_use_ != nullptr; }
  bool has_one_use() const { return first_use_ != nullptr && first_use_->next() == nullptr; }
  size_t use_count() const;
  Use* first_use() const { return first_use_; }
  // The only user; null unless has_one_use().
  Node* only_user() const { return has_one_use() ? first_use_->user() : nullptr; }

  class UseIterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Use;
    using difference_type = ptrdiff_t;
    using pointer = Use*;
    using reference = Use&;
    UseIterator() = default;
    explicit UseIterator(Use* at) : at_(at) {}
    Use& operator*() const { return *at_; }
    Use* operator->() const { return at_; }
    UseIterator& operator++() {
      at_ = at_->next();
      return *this;
    }
    UseIterator operator++(int) {
      auto old = *this;
      ++*this;
      return old;
    }
    friend bool operator==(const UseIterator&, const UseIterator&) = default;

   private:
    Use* at_ = nullptr;
  };
  struct UseRange {
    Use* first;
    UseIterator begin() const { return UseIterator(first); }
    UseIterator end() const { return {}; }
  };
  UseRange uses() const { return {first_use_}; }  // order is unspecified; do not mutate while walking
  std::vector<Use*> use_list() const;  // a copy that survives mutation, in program order of linking

  void set_type(const Type* type);
  void set_name(std::string_view name);  // made unique in the graph
  // All uses of this value become uses of `other`.
  void replace_all_uses_with(Value* other);

 private:
  friend class Use;
  friend class Node;
  friend class Graph;
  std::string_view name_;
  const Type* type_ = nullptr;
  Node* def_ = nullptr;
  Graph* graph_ = nullptr;
  Use* first_use_ = nullptr;
  uint32_t index_ = 0;
};

class Node {
 public:
  const OpDef& op() const { return *op_; }
  bool is(const OpDef& op) const { return op_ == &op; }
  std::string_view name() const { return name_; }
  Graph* graph() const { return graph_; }
  Context& context() const;

  // Operand slots; a slot of an absent optional operand is null.
  size_t operand_count() const { return operand_count_; }
  Value* operand(size_t i) const { return i < operand_count_ ? operands_[i].value_ : nullptr; }
  Use& use(size_t i) { return operands_[i]; }
  void set_operand(size_t i, Value* value);

  size_t result_count() const { return result_count_; }
  Value* result(size_t i = 0) const { return &results_[i]; }
  bool has_uses() const;

  // The attribute struct; T must be the op's own.
  template <typename T>
  const T& attrs() const {
    return *static_cast<const T*>(attrs_);
  }
  template <typename T>
  T& mutable_attrs() {
    touch();
    return *static_cast<T*>(attrs_);
  }
  const void* attrs_data() const { return attrs_; }
  void* attrs_data() { return attrs_; }

  // const nodes: the constant they stand for; null for all others.
  const Constant* constant() const { return constant_; }

  std::span<Graph* const> regions() const { return {regions_.data(), regions_.size()}; }
  Graph* add_region();

  const Origin* origin() const { return origins_.empty() ? nullptr : origins_.front(); }
  // A fused node lists every source node it stands for; the first one names it in messages.
  List<const Origin*> origins() const { return origins_; }
  void set_origins(List<const Origin*> origins) { origins_ = origins; }
  void add_origins_of(const Node& other);

  Node* next() const { return next_; }
  Node* prev() const { return prev_; }
  // Position in the graph, increasing along the order (gaps are kept); renumbered when needed.
  uint64_t order() const;
  bool before(const Node& other) const { return order() < other.order(); }

  void set_name(std::string_view name);
  void move_before(Node* other);
  // Removes a node none of whose results has uses.
  void erase();
  bool erased() const { return graph_ == nullptr; }
  // Recomputes result types by the op's inference.
  Status infer();
  Error error(std::string id, std::string text) const;  // an error that names this node
  uint32_t scratch = 0;                                 // free for the running pass; meaningless outside one

 private:
  friend class Graph;
  friend class Use;
  friend class Value;
  void touch();
  // What a walk over the graph reads comes first: it shares a cache line.
  const OpDef* op_ = nullptr;
  Node* next_ = nullptr;
  Use* operands_ = nullptr;
  Value* results_ = nullptr;
  uint32_t operand_count_ = 0;
  uint32_t result_count_ = 0;
  const Constant* constant_ = nullptr;
  void* attrs_ = nullptr;
  Graph* graph_ = nullptr;
  Node* prev_ = nullptr;
  std::string_view name_;
  List<Graph*> regions_;
  List<const Origin*> origins_;
  mutable uint64_t order_ = 0;
};

// A table by text, for thousands of names: hashes are kept, so that growing reads no text.
template <typename T>
using ByText =
    tsl::robin_map<std::string_view, T, std::hash<std::string_view>, std::equal_to<std::string_view>,
                   std::allocator<std::pair<std::string_view, T>>, true>;

// What all graphs of one model share: memory, interned types, constants, symbols.
class Context {
 public:
  Context();
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Arena& arena() { return arena_; }
  DimContext& dims() { return dims_; }

  const Type* type(const Type& type);  // interned
  const Type* tensor(DType dtype, std::span<const Dim> shape);
  const Type* tensor(DType dtype, std::span<const int64_t> shape);
  const Type* unranked(DType dtype);
  const Type* quantized(const QuantType& quant, std::span<const Dim> shape);
  const Type* with_shape(const Type& like, std::span<const Dim> shape);  // same element
  const Type* with_element(const Type& like, DType dtype);               // same shape, plain element
  const Type* with_quant(const Type& like, const QuantType& quant);      // same shape, storage of `quant`
  const Type* scalar(TypeKind kind, Dim value = {});
  const QuantType* quant(const QuantType& quant);  // interned

  List<int64_t> ints(std::span<const int64_t> values) { return arena_.copy(values); }
  List<int64_t> ints(std::initializer_list<int64_t> values) { return arena_.copy(values); }
  List<Dim> dims_of(std::span<const int64_t> values);
  std::string_view text(std::string_view text) { return arena_.intern(text); }

  // Constants. The name is made unique (`.1`, `.2` ... appended); the returned pointer is stable.
  Constant* add_constant(Constant constant);
  const Constant* find_constant(std::string_view name) const;
  void reserve_constants(size_t count);                                // room for that many more
  std::span<Constant* const> constants() const { return constants_; }  // in order of creation
  // Makes a dense constant from bytes (packed if the dtype is below 8 bits).
  const Constant* make_constant(std::string_view name, DType dtype, std::span<const int64_t> shape,
                                Blob bytes, ConstantKind kind = ConstantKind::Tensor);
  template <typename T>
  const Constant* make_constant(std::string_view name, DType dtype, std::span<const int64_t> shape,
                                const std::vector<T>& values, ConstantKind kind = ConstantKind::Tensor) {
    return make_constant(name, dtype, shape, Blob::copy_of(std::as_bytes(std::span<const T>(values))), kind);
  }
  // The elements in dense C order: the storage itself, or a copy made once if it is strided. An error if
  // stripped.
  Result<Blob> dense_bytes(const Constant& constant);

  // The regions of all nodes that still exist, outer ones first.
  std::vector<Graph*> regions() const;

  // Types whose quantization parameters were read and found valid: types and constants never change, so once
  // is enough.
  bool quant_checked(const Type* type) const { return quant_checked_.contains(type); }
  void set_quant_checked(const Type* type) { quant_checked_.insert(type); }

  // Every structural change of any graph counts here: passes are judged by it.
  uint64_t changes() const { return changes_; }
  void count_change() { ++changes_; }

 private:
  friend class Graph;
  friend class Node;
  struct Interner;
  Arena arena_;
  Arena nodes_, values_, uses_;  // each kind densely, in order of creation: a walk is a walk through memory
  DimContext dims_;
  std::unique_ptr<Interner> interner_;
  std::vector<Constant*> constants_;
  ByText<Constant*> constants_by_name_;
  std::unordered_map<const Constant*, Blob> dense_;
  std::unordered_set<const Type*> quant_checked_;
  std::vector<std::unique_ptr<Graph>> graphs_;
  uint64_t changes_ = 0;
};

// Iterates over nodes; the current node may be erased while iterating.
class NodeRange {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Node*;
    using difference_type = ptrdiff_t;
    using pointer = Node**;
    using reference = Node*;
    Iterator() = default;
    explicit Iterator(Node* at) { set(at); }
    Node* operator*() const { return at_; }
    Iterator& operator++() {
      set(next_);
      return *this;
    }
    Iterator operator++(int) {
      auto old = *this;
      ++*this;
      return old;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

   private:
    // The last node of a graph is its return node: the end.
    void set(Node* at) {
      next_ = at ? at->next() : nullptr;
      at_ = next_ ? at : nullptr;
    }
    Node* at_ = nullptr;
    Node* next_ = nullptr;
  };
  explicit NodeRange(Node* first) : first_(first) {}
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return {}; }

 private:
  Node* first_;
};

struct NodeSpec {
  const OpDef* op = nullptr;
  std::span<Value* const> operands;
  const void* attrs = nullptr;  // copied; null: defaults
  std::string_view name;        // made unique; empty: derived from the op
  size_t results = 1;
  List<const Origin*> origins;
  const Constant* constant = nullptr;
};

class Graph {
 public:
  Graph(Context& context, Node* parent);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  Context& context() const { return context_; }
  std::string_view name() const { return name_; }
  void set_name(std::string_view name) { name_ = context_.text(name); }
  Node* parent() const { return parent_; }  // the node this region belongs to; null: a main graph

  std::span<Value* const> inputs() const { return inputs_; }
  Value* add_input(std::string_view name, const Type* type);
  void erase_input(size_t index);  // must have no uses

  // Results of the graph are the operands of its `return` node, which is always the last node.
  Node* output_node() const { return output_; }
  size_t output_count() const { return output_->operand_count(); }
  Value* output(size_t i) const { return output_->operand(i); }
  void set_outputs(std::span<Value* const> values);

  // All nodes but the return node, in topological order.
  NodeRange nodes() const { return NodeRange(first_ == output_ ? nullptr : first_); }
  Node* first_node() const { return first_ == output_ ? nullptr : first_; }
  size_t node_count() const { return node_count_; }  // without the return node; regions not counted

  // Room for the names of that many more values.
  void reserve(size_t values) { names_.reserve(names_.size() + values); }
  // Makes a node before `before` (null: at the end) without inferring types.
  Node* create(const NodeSpec& spec, Node* before = nullptr);
  // A const node for a constant; its value has the constant's plain type.
  Value* add_const(const Constant& constant, std::string_view name = {}, Node* before = nullptr);

  Value* find(std::string_view name) const;

 private:
  friend class Node;
  friend class Value;
  friend class Context;
  friend class NodeRange;
  void insert(Node* node, Node* before);
  void remove(Node* node);
  void renumber() const;
  void take_name(Value* value, std::string_view wish);
  void free_name(std::string_view name);
  Context& context_;
  Node* parent_ = nullptr;
  std::string_view name_ = "main";
  std::vector<Value*> inputs_;
  Node* output_ = nullptr;
  Node* first_ = nullptr;
  size_t node_count_ = 0;
  mutable bool order_valid_ = true;
  // Who has a name (null: nobody any more), and the last number given to a copy of it.
  struct Holder {
    Value* value = nullptr;
    uint32_t copies = 0;
  };
  ByText<Holder> names_;
};

// Ops that the IR itself knows.
extern const OpDef kConstOp;   // a constant
extern const OpDef kReturnOp;  // the results of a graph
extern const OpDef kOpaqueOp;  // an operator no one here knows; attributes OpaqueAttrs

struct OpaqueAttrs {
  std::string_view target;   // the source's own name, e.g. torch.ops.mylib.myop.default
  std::string_view payload;  // its arguments in the source's own form
  bool effect = false;       // not known to be pure: keep, in order
  ZP_ATTRS(OpaqueAttrs, target, payload, effect)
};

// What a person calls the op of this node: the canonical name, or the target of an opaque node.
std::string_view op_label(const Node& node);

}  // namespace zp
