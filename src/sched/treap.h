#pragma once

#include "sched/pool.h"

namespace inferq::sched {

/// Children of a node, by handle.
struct Links {
  Handle left = kNone;
  Handle right = kNone;
};

/// An ordered set whose nodes are objects that live elsewhere: O(log n) for everything (a treap,
/// Seidel and Aragon 1996). `Order` says how, by handle:
///
///   Links& At(h)            the links that belong to this tree
///   bool Less(a, b)         a strict order
///   uint64_t Priority(h)    scattered bits, which balance the tree
///   void Update(h)          h's children changed: sums up what h keeps of its subtree
///   void Gained(h, n)       n was added below h: the same, faster
///   void Lost(h, n)         n was taken from below h: the same, faster
template <class Order>
class Treap {
 public:
  explicit Treap(Order order) : order_(order) {}

  bool empty() const { return root_ == kNone; }
  Handle root() const { return root_; }
  const Order& order() const { return order_; }

  /// The smallest; kNone when empty.
  Handle First() const { return Outermost(&Links::left); }
  Handle Last() const { return Outermost(&Links::right); }

  /// `node` must not be in the set.
  void Insert(Handle node) { root_ = InsertAt(root_, node); }
  /// `node` must be in the set.
  void Erase(Handle node) { root_ = EraseAt(root_, node); }

  /// How many are less than `probe`, which need not be in the set. For an Order with Size(h).
  size_t CountLess(Handle probe) const {
    size_t count = 0;
    for (Handle node = root_; node != kNone;) {
      const Links& links = order_.At(node);
      bool less = order_.Less(node, probe);
      if (less) count += 1 + (links.left == kNone ? 0 : order_.Size(links.left));
      node = less ? links.right : links.left;
    }
    return count;
  }

  // Readers may stop here.

 private:
  Handle Outermost(Handle Links::* side) const {
    Handle node = root_;
    while (node != kNone && order_.At(node).*side != kNone) node = order_.At(node).*side;
    return node;
  }

  Handle InsertAt(Handle tree, Handle node) {
    if (tree == kNone || order_.Priority(tree) < order_.Priority(node)) {
      Links parts = Split(tree, node);
      order_.At(node) = parts;
      order_.Update(node);
      return node;
    }
    Links& links = order_.At(tree);
    Handle& side = order_.Less(node, tree) ? links.left : links.right;
    side = InsertAt(side, node);
    order_.Gained(tree, node);
    return tree;
  }

  /// Divides a tree into what is less than `node` and the rest.
  Links Split(Handle tree, Handle node) {
    if (tree == kNone) return {};
    Links& links = order_.At(tree);
    bool less = order_.Less(tree, node);
    Links parts = Split(less ? links.right : links.left, node);
    (less ? links.right : links.left) = less ? parts.left : parts.right;
    (less ? parts.left : parts.right) = tree;
    order_.Update(tree);
    return parts;
  }

  /// All of `left` is less than all of `right`.
  Handle Merge(Handle left, Handle right) {
    if (left == kNone) return right;
    if (right == kNone) return left;
    bool from_left = order_.Priority(right) < order_.Priority(left);
    Handle top = from_left ? left : right;
    Links& links = order_.At(top);
    if (from_left) {
      links.right = Merge(links.right, right);
    } else {
      links.left = Merge(left, links.left);
    }
    order_.Update(top);
    return top;
  }

  Handle EraseAt(Handle tree, Handle node) {
    Links& links = order_.At(tree);
    if (tree == node) return Merge(links.left, links.right);
    Handle& side = order_.Less(node, tree) ? links.left : links.right;
    side = EraseAt(side, node);
    order_.Lost(tree, node);
    return tree;
  }

  Order order_;
  Handle root_ = kNone;
};

}  // namespace inferq::sched
