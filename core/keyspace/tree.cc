#include "core/keyspace/tree.h"

#include <algorithm>

namespace canopy::keyspace {
namespace {

using detail::TreePage;
using detail::TreeRoot;

constexpr std::size_t page_capacity = 128;

// The page that holds `key` or would: the last whose first key is not greater; 0 in an empty tree.
std::size_t page_of(const TreeRoot& root, std::string_view key) {
  const auto after = std::ranges::upper_bound(root.pages, key, {},
                                              [](const auto& page) { return page->front()->key; });
  return after == root.pages.begin() ? 0 : static_cast<std::size_t>(after - root.pages.begin()) - 1;
}

std::size_t slot_of(const TreePage& page, std::string_view key) {
  const auto at =
      std::ranges::lower_bound(page, key, {}, [](const UpdatePtr& entry) { return entry->key; });
  return static_cast<std::size_t>(at - page.begin());
}

template <typename Vector>
auto iterator_at(Vector& vector, std::size_t index) {
  return vector.begin() + static_cast<std::ptrdiff_t>(index);
}

// Of one key.
bool same_content(const Update& left, const Update& right) {
  return &left == &right || (left.value == right.value && left.properties == right.properties &&
                             left.uuid == right.uuid && left.expires_at_ms == right.expires_at_ms);
}

}  // namespace

TreeView::Cursor TreeView::seek(std::string_view key) const {
  Cursor cursor;
  cursor.root_ = root_;
  if (root_->pages.empty()) return cursor;
  cursor.page_ = page_of(*root_, key);
  cursor.slot_ = slot_of(*root_->pages[cursor.page_], key);
  if (cursor.slot_ == root_->pages[cursor.page_]->size()) {
    cursor.slot_ = 0;
    ++cursor.page_;
  }
  return cursor;
}

bool TreeView::contains(std::string_view key) const {
  const Cursor cursor = seek(key);
  return !cursor.done() && (*cursor)->key == key;
}

TreeRoot& Tree::own_root() {
  if (root_.use_count() > 1) root_ = std::make_shared<TreeRoot>(*root_);
  return *root_;
}

TreePage& Tree::own_page(std::size_t index) {
  auto& page = own_root().pages[index];
  if (page.use_count() > 1) {
    auto copy = std::make_shared<TreePage>();
    copy->reserve(page_capacity);
    *copy = *page;
    page = std::move(copy);
  }
  return *page;
}

void Tree::put(UpdatePtr update) {
  TreeRoot& root = own_root();
  root.bytes += update->bytes();
  if (root.pages.empty()) {
    ++root.size;
    root.pages.push_back(std::make_shared<TreePage>(1, std::move(update)));
    return;
  }
  const std::size_t index = page_of(root, update->key);
  TreePage& page = own_page(index);
  const std::size_t slot = slot_of(page, update->key);
  if (slot < page.size() && page[slot]->key == update->key) {
    root.bytes -= page[slot]->bytes();
    page[slot] = std::move(update);
    return;
  }
  ++root.size;
  page.insert(iterator_at(page, slot), std::move(update));
  if (page.size() <= page_capacity) return;
  // Keys that arrive in order fill their pages: only an overflow in the middle splits in half.
  const std::size_t keep = slot + 1 == page.size() ? page.size() - 1 : page.size() / 2;
  auto right = std::make_shared<TreePage>(iterator_at(page, keep), page.end());
  page.resize(keep);
  root.pages.insert(iterator_at(root.pages, index + 1), std::move(right));
}

bool Tree::erase(std::string_view key) {
  if (find(key) == nullptr) return false;
  TreeRoot& root = own_root();
  const std::size_t index = page_of(root, key);
  TreePage& page = own_page(index);
  const std::size_t slot = slot_of(page, key);
  root.bytes -= page[slot]->bytes();
  --root.size;
  page.erase(iterator_at(page, slot));
  if (page.empty()) {
    root.pages.erase(iterator_at(root.pages, index));
  } else if (index + 1 < root.pages.size() &&
             page.size() + root.pages[index + 1]->size() <= page_capacity / 2) {
    const TreePage& right = *root.pages[index + 1];
    page.insert(page.end(), right.begin(), right.end());
    root.pages.erase(iterator_at(root.pages, index + 1));
  }
  return true;
}

// Appends the page.
void Tree::add_page(std::shared_ptr<TreePage> page) {
  if (page->empty()) return;
  TreeRoot& root = own_root();
  root.size += page->size();
  for (const UpdatePtr& entry : *page) root.bytes += entry->bytes();
  root.pages.push_back(std::move(page));
}

// Pages that lie within the prefix, or outside, stay as they are.
Tree Tree::extract(std::string_view prefix) {
  const auto is_before = [&](const UpdatePtr& entry) { return entry->key < prefix; };
  const auto is_within = [&](const UpdatePtr& entry) { return entry->key.starts_with(prefix); };
  Tree left;
  Tree taken;
  for (const auto& page : root_->pages) {
    if (is_within(page->front()) && is_within(page->back())) {
      taken.add_page(page);
      continue;
    }
    const auto begin = std::ranges::partition_point(*page, is_before);
    const auto end = std::partition_point(begin, page->end(), is_within);
    if (begin == end) {
      left.add_page(page);
      continue;
    }
    taken.add_page(std::make_shared<TreePage>(begin, end));
    auto rest = std::make_shared<TreePage>(page->begin(), begin);
    rest->insert(rest->end(), end, page->end());
    left.add_page(std::move(rest));
  }
  *this = std::move(left);
  return taken;
}

void Tree::apply(const UpdatePtr& update) {
  if (update->deleted) {
    erase(update->key);
  } else {
    put(update);
  }
}

UpdatePtr Tree::find(std::string_view key) const {
  if (root_->pages.empty()) return nullptr;
  const TreePage& page = *root_->pages[page_of(*root_, key)];
  const std::size_t slot = slot_of(page, key);
  return slot < page.size() && page[slot]->key == key ? page[slot] : nullptr;
}

std::vector<UpdatePtr> difference(const TreeView& before, const TreeView& after,
                                  const std::function<UpdatePtr(std::string_view key)>& delete_key,
                                  bool one_history) {
  std::vector<UpdatePtr> changes;
  auto old_entry = before.seek("");
  auto new_entry = after.seek("");
  while (!old_entry.done() || !new_entry.done()) {
    const int order = old_entry.done()   ? 1
                      : new_entry.done() ? -1
                                         : (*old_entry)->key.compare((*new_entry)->key);
    if (order < 0) {
      changes.push_back(delete_key((*old_entry)->key));
      old_entry.next();
      continue;
    }
    if (order > 0 || (*old_entry)->revision != (*new_entry)->revision ||
        (!one_history && !same_content(**old_entry, **new_entry))) {
      changes.push_back(*new_entry);
    }
    if (order == 0) old_entry.next();
    new_entry.next();
  }
  return changes;
}

}  // namespace canopy::keyspace
