// The bytes of a store's file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/wire/entry.h"
#include "shard/record.h"
#include "shard/store.h"

namespace canopy::shard {
namespace {

namespace fs = std::filesystem;
using keyspace::Revision;
using keyspace::UpdatePtr;

class StoreFormat : public testing::Test {
 protected:
  StoreFormat() { fs::remove_all(directory_); }
  ~StoreFormat() override { fs::remove_all(directory_); }

  base::Result<std::unique_ptr<Store>> open() {
    recovered_ = {};
    return Store::open({.path = (directory_ / "p").string()}, recovered_);
  }
  void write(const std::vector<UpdatePtr>& updates) {
    const auto store = open();
    ASSERT_TRUE(store) << store.error();
    ASSERT_TRUE((*store)->begin_epoch(4));
    ASSERT_TRUE((*store)->write(updates, {}, {}));
  }
  std::string contents() const {
    std::ostringstream bytes;
    bytes << std::ifstream(file_, std::ios::binary).rdbuf();
    return bytes.str();
  }

  fs::path directory_ =
      fs::temp_directory_path() / ("canopy-store-format-" + std::to_string(getpid()));
  fs::path file_ = directory_ / "p/data.mdb";
  Store::Recovered recovered_;
};

TEST_F(StoreFormat, HoldsTheBytesThatArePublished) {
  const std::vector<UpdatePtr> updates{
      wire::make_update({.key = "/p/a", .value = "value", .revision = Revision(4, 1)}),
      wire::make_update({.key = "/p/b",
                         .value = std::string(10'000, 'v'),
                         .properties = "p=1\n",
                         .uuid = std::string(16, 'u'),
                         .revision = Revision(4, 2),
                         .expires_at_ms = 5'000'000'000'000})};
  write(updates);
  const std::string bytes = contents();
  for (const UpdatePtr& update : updates) {
    EXPECT_NE(bytes.find(sealed(update->encoded())), std::string::npos) << update->key;
  }
  ASSERT_TRUE(open());
  for (const UpdatePtr& update : updates) {
    const UpdatePtr entry = recovered_.tree.find(update->key);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->encoded(), update->encoded());
  }
}

TEST_F(StoreFormat, RefusesAnotherOne) {
  write({wire::make_update({.key = "/p/a", .revision = Revision(4, 1)})});
  std::string bytes = contents();
  const std::string_view state = "state2 4 1 1";
  ASSERT_NE(bytes.find(state), std::string::npos);
  for (std::size_t at = 0; (at = bytes.find(state, at)) != std::string::npos; ++at) {
    bytes[at + 5] = '1';
  }
  std::ofstream(file_, std::ios::binary) << bytes;
  const auto store = open();
  ASSERT_FALSE(store);
  EXPECT_THAT(store.error(), testing::HasSubstr("data.mdb is of format 1"));
}

}  // namespace
}  // namespace canopy::shard
