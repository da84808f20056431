// An ordered map from key to its last update, with views that keep its state at one moment.
//
// Entries live in sorted pages that are shared with views and copied when written: taking a view
// costs nothing, holding it costs the pages that change meanwhile, and any number of slow snapshots
// read their exact cut while updates go on.
// Not thread-safe; a view may outlive its tree.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/keyspace/update.h"

namespace canopy::keyspace {

namespace detail {
using TreePage = std::vector<UpdatePtr>;
struct TreeRoot {
  std::vector<std::shared_ptr<TreePage>> pages;  // none empty
  std::size_t size = 0;
  std::size_t bytes = 0;
};
}  // namespace detail

class TreeView {
 public:
  // Walks entries in key order.
  class Cursor {
   public:
    bool done() const { return page_ >= root_->pages.size(); }
    const UpdatePtr& operator*() const { return (*root_->pages[page_])[slot_]; }
    void next() {
      if (++slot_ < root_->pages[page_]->size()) return;
      slot_ = 0;
      ++page_;
    }

   private:
    friend class TreeView;
    std::shared_ptr<const detail::TreeRoot> root_;
    std::size_t page_ = 0;
    std::size_t slot_ = 0;
  };

  // The first entry whose key is not less than `key`.
  Cursor seek(std::string_view key) const;
  bool contains(std::string_view key) const;
  std::size_t size() const { return root_->size; }

 private:
  friend class Tree;
  explicit TreeView(std::shared_ptr<const detail::TreeRoot> root) : root_(std::move(root)) {}
  std::shared_ptr<const detail::TreeRoot> root_;
};

class Tree {
 public:
  Tree() : root_(std::make_shared<detail::TreeRoot>()) {}

  // Inserts, or replaces the entry of the same key.
  void put(UpdatePtr update);
  // False when there was none.
  bool erase(std::string_view key);
  // Puts, or erases when the update is a deletion.
  void apply(const UpdatePtr& update);
  // Takes out every entry whose key starts with `prefix`, which is not empty.
  Tree extract(std::string_view prefix);
  // Null when absent.
  UpdatePtr find(std::string_view key) const;

  std::size_t size() const { return root_->size; }
  // Of keys, values and properties.
  std::size_t bytes() const { return root_->bytes; }
  TreeView view() const { return TreeView(root_); }

 private:
  detail::TreeRoot& own_root();
  detail::TreePage& own_page(std::size_t index);
  void add_page(std::shared_ptr<detail::TreePage> page);

  std::shared_ptr<detail::TreeRoot> root_;
};

// What turns `before` into `after`: the entries of `after` that are new or differ, and a deletion,
// which `delete_key` makes, for each key that is gone. Within one history entries of equal
// revisions are the same; of two histories they may not be, and are compared whole.
std::vector<UpdatePtr> difference(const TreeView& before, const TreeView& after,
                                  const std::function<UpdatePtr(std::string_view key)>& delete_key,
                                  bool one_history = true);

}  // namespace canopy::keyspace
