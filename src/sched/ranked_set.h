#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace inferq::sched {

/// An ordered set that knows how many elements are smaller than a given one: O(log n) for
/// everything, First included. `T` has operator< and a Hash() that scatters its bits (it balances
/// the tree: a treap, Seidel and Aragon 1996). The same elements give the same tree. Pointers to
/// elements stay valid until they are erased.
template <class T>
class RankedSet {
 public:
  bool empty() const { return root_ == nullptr; }
  size_t size() const { return SizeOf(root_); }

  /// The smallest; null when empty.
  const T* First() const {
    const Node* node = root_.get();
    while (node && node->left) node = node->left.get();
    return node ? &node->value : nullptr;
  }

  /// `value` must not be in the set.
  void Insert(T value) {
    uint64_t priority = value.Hash();
    InsertAt(root_, std::make_unique<Node>(std::move(value), priority));
  }

  /// @return false when it is not in the set.
  bool Erase(const T& value) { return EraseAt(root_, value); }

  size_t CountLess(const T& value) const {
    size_t count = 0;
    for (const Node* node = root_.get(); node;) {
      if (node->value < value) {
        count += SizeOf(node->left) + 1;
        node = node->right.get();
      } else {
        node = node->left.get();
      }
    }
    return count;
  }

  // Readers may stop here.

 private:
  struct Node;
  using Link = std::unique_ptr<Node>;
  struct Node {
    Node(T v, uint64_t p) : value(std::move(v)), priority(p) {}
    T value;
    uint64_t priority;  ///< Not below that of a child.
    size_t size = 1;
    Link left, right;
  };

  static size_t SizeOf(const Link& link) { return link ? link->size : 0; }
  static void Resize(Node& node) { node.size = SizeOf(node.left) + SizeOf(node.right) + 1; }

  static void InsertAt(Link& link, Link node) {
    if (!link || link->priority < node->priority) {
      Split(std::move(link), node->value, node->left, node->right);
      Resize(*node);
      link = std::move(node);
      return;
    }
    ++link->size;
    InsertAt(node->value < link->value ? link->left : link->right, std::move(node));
  }

  /// Divides a tree into what is smaller than `value` and the rest.
  static void Split(Link tree, const T& value, Link& smaller, Link& rest) {
    if (!tree) {
      smaller.reset();
      rest.reset();
      return;
    }
    if (tree->value < value) {
      Link right = std::move(tree->right);
      Split(std::move(right), value, tree->right, rest);
      Resize(*tree);
      smaller = std::move(tree);
    } else {
      Link left = std::move(tree->left);
      Split(std::move(left), value, smaller, tree->left);
      Resize(*tree);
      rest = std::move(tree);
    }
  }

  /// All of `left` is smaller than all of `right`.
  static Link Merge(Link left, Link right) {
    if (!left) return right;
    if (!right) return left;
    if (left->priority < right->priority) {
      right->left = Merge(std::move(left), std::move(right->left));
      Resize(*right);
      return right;
    }
    left->right = Merge(std::move(left->right), std::move(right));
    Resize(*left);
    return left;
  }

  static bool EraseAt(Link& link, const T& value) {
    if (!link) return false;
    if (value < link->value || link->value < value) {
      bool erased = EraseAt(value < link->value ? link->left : link->right, value);
      if (erased) --link->size;
      return erased;
    }
    Link merged = Merge(std::move(link->left), std::move(link->right));
    link = std::move(merged);
    return true;
  }

  Link root_;
};

}  // namespace inferq::sched
