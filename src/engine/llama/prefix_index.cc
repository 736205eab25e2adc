#include "engine/llama/prefix_index.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace inferq::engine::llama {

struct PrefixIndex::Node {
  Node* parent = nullptr;
  std::vector<Token> label;     // never empty but in the root
  std::vector<Holder> holders;  // of the whole label, ascending; never none but in the root
  std::map<Token, std::unique_ptr<Node>> children;  // by the first token of their labels

  void Add(Holder holder) {
    const auto place = std::ranges::lower_bound(holders, holder);
    if (place == holders.end() || *place != holder) holders.insert(place, holder);
  }
  void Remove(Holder holder) {
    const auto place = std::ranges::lower_bound(holders, holder);
    if (place != holders.end() && *place == holder) holders.erase(place);
  }
  // One of the holders, if there is one but `except`.
  const Holder* AnyBut(const Holder* except) const {
    for (const Holder& holder : holders) {
      if (!except || holder != *except) return &holder;
    }
    return nullptr;
  }
};

namespace {

size_t Common(PrefixIndex::Tokens a, PrefixIndex::Tokens b) {
  return static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

PrefixIndex::PrefixIndex() : root_(std::make_unique<Node>()) {}
PrefixIndex::~PrefixIndex() = default;

size_t PrefixIndex::length(Holder holder) const {
  const auto found = ends_.find(holder);
  return found == ends_.end() ? 0 : found->second.length;
}

PrefixIndex::Match PrefixIndex::Find(Tokens tokens, const Holder* except) const {
  Match match;
  const Node* node = root_.get();
  while (match.length < tokens.size()) {
    const auto found = node->children.find(tokens[match.length]);
    if (found == node->children.end()) break;
    node = found->second.get();
    const Holder* holder = node->AnyBut(except);
    if (!holder) break;
    const size_t common = Common(node->label, tokens.subspan(match.length));
    match.length += common;
    match.holder = *holder;
    if (common < node->label.size()) break;
  }
  return match;
}

void PrefixIndex::Extend(Holder holder, Tokens tokens) {
  const auto found = ends_.find(holder);
  End end = found == ends_.end() ? End{root_.get(), 0} : found->second;
  INFERQ_CHECK(tokens.size() >= end.length);
  if (tokens.size() == end.length) return;
  end.node = Grow(end.node, holder, tokens.subspan(end.length));
  end.length = tokens.size();
  ends_[holder] = end;
}

// Leads `holder`, who is at the end of `node`, along `rest`. @return where it ends.
PrefixIndex::Node* PrefixIndex::Grow(Node* node, Holder holder, Tokens rest) {
  while (!rest.empty()) {
    const auto found = node->children.find(rest.front());
    if (found == node->children.end()) {
      distinct_ += rest.size();
      const bool only_here = node->children.empty() && node->holders.size() == 1;
      if (only_here && node->holders.front() == holder) {
        node->label.insert(node->label.end(), rest.begin(), rest.end());
        return node;
      }
      auto child = std::make_unique<Node>();
      child->parent = node;
      child->label.assign(rest.begin(), rest.end());
      child->holders = {holder};
      return (node->children[rest.front()] = std::move(child)).get();
    }
    node = found->second.get();
    const size_t common = Common(node->label, rest);
    if (common < node->label.size()) node = Split(node, common);
    node->Add(holder);
    rest = rest.subspan(common);
  }
  return node;
}

// Cuts a label in two. @return the node of the first part; `node` stays that of the second, so that
// ends stay where they are.
PrefixIndex::Node* PrefixIndex::Split(Node* node, size_t at) {
  Node* parent = node->parent;
  std::unique_ptr<Node>& place = parent->children.at(node->label.front());
  auto upper = std::make_unique<Node>();
  const auto middle = node->label.begin() + static_cast<std::ptrdiff_t>(at);
  upper->parent = parent;
  upper->label.assign(node->label.begin(), middle);
  upper->holders = node->holders;
  node->label.erase(node->label.begin(), middle);
  node->parent = upper.get();
  upper->children[node->label.front()] = std::move(place);
  place = std::move(upper);
  return place.get();
}

void PrefixIndex::Truncate(Holder holder, size_t length) {
  const auto found = ends_.find(holder);
  if (found == ends_.end() || found->second.length <= length) return;
  End& end = found->second;
  while (end.length > length) {
    const size_t begin = end.length - end.node->label.size();
    if (begin < length) Split(end.node, length - begin);
    end.length = std::max(begin, length);
    end.node = Leave(end.node, holder);
  }
  if (length == 0) ends_.erase(found);
}

// @return the parent. `node` is gone if nobody holds it any more.
PrefixIndex::Node* PrefixIndex::Leave(Node* node, Holder holder) {
  Node* parent = node->parent;
  node->Remove(holder);
  if (!node->holders.empty()) return parent;
  distinct_ -= node->label.size();
  parent->children.erase(node->label.front());
  return parent;
}

}  // namespace inferq::engine::llama
