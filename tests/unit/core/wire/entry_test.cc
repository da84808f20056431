#include "core/wire/entry.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "core/wire/pack.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire {
namespace {

using keyspace::Entry;
using keyspace::Revision;
using keyspace::UpdatePtr;

void expect_same(const Entry& is, const Entry& was) {
  EXPECT_EQ(is.key, was.key);
  EXPECT_EQ(is.value, was.value);
  EXPECT_EQ(is.properties, was.properties);
  EXPECT_EQ(is.uuid, was.uuid);
  EXPECT_EQ(is.revision, was.revision);
  EXPECT_EQ(is.expires_at_ms, was.expires_at_ms);
  EXPECT_EQ(is.deleted, was.deleted);
}

// Made, appended and read again, they are the same fields in the same bytes.
void expect_whole(const Entry& fields) {
  const UpdatePtr made = make_update(fields);
  expect_same(*made, fields);
  std::string appended;
  append_entry(appended, fields);
  EXPECT_EQ(appended, made->encoded());
  const auto read = decode_update(appended);
  ASSERT_TRUE(read) << read.error();
  appended.assign(appended.size(), 'x');  // what was read looks into no bytes but its own
  expect_same(**read, fields);
  EXPECT_EQ((*read)->encoded(), made->encoded());
}

std::string packed(std::uint32_t count, const Entry& entry) {
  std::string out;
  Packer packer(out);
  packer.array(count);
  packer.text(entry.key);
  packer.revision(entry.revision);
  packer.value(entry.deleted, entry.value);
  if (count > 3) packer.signed_number(entry.expires_at_ms);
  if (count > 4) packer.bytes(entry.properties);
  if (count > 5) packer.bytes(entry.uuid);
  if (count > 6) packer.nil();
  return out;
}

TEST(Entry, TakesTheShortestForm) {
  const auto form = [](const Entry& entry) { return std::string(make_update(entry)->encoded()); };
  Entry entry{.key = "/a", .value = "v", .revision = Revision(300)};
  EXPECT_EQ(form(entry), packed(3, entry));
  EXPECT_EQ(form(entry), std::string_view("\x93\xa2/a\xcd\x01\x2c\xc4\x01v", 10));
  entry.expires_at_ms = 1;
  EXPECT_EQ(form(entry), packed(5, entry));
  entry = {.key = "/a", .properties = "p=1\n", .revision = Revision(300)};
  EXPECT_EQ(form(entry), packed(5, entry));
  entry = {.key = "/a", .uuid = "u", .revision = Revision(300), .deleted = true};
  EXPECT_EQ(form(entry), packed(6, entry));
}

TEST(Entry, KeepsEveryFieldUpToItsBound) {
  const std::string longest(base::max_value_bytes, 'x');
  const auto some = [&](std::size_t size) { return std::string_view(longest).substr(0, size); };
  for (const std::size_t size : {1u, 31u, 32u, 254u, 255u}) expect_whole({.key = some(size)});
  for (const std::size_t size : {0u, 1u, 255u, 256u, 65'535u, 65'536u, 1u << 20}) {
    expect_whole({.key = "/a", .value = some(size)});
  }
  for (const std::size_t size : {1u, 255u, 256u, 4096u}) {
    expect_whole({.key = "/a", .properties = some(size)});
  }
  for (const std::size_t size : {1u, 63u, 64u}) expect_whole({.key = "/a", .uuid = some(size)});
  for (const unsigned bits : {0u, 7u, 8u, 16u, 32u, 40u, 62u}) {
    for (const std::uint64_t number : {(1ull << bits) - 1, 1ull << bits}) {
      expect_whole({.key = "/a",
                    .revision = Revision(number),
                    .expires_at_ms = static_cast<std::int64_t>(number)});
    }
  }
  expect_whole({.key = "/a", .revision = Revision(UINT64_MAX), .expires_at_ms = INT64_MAX});
  expect_whole({.key = "/a", .properties = "p=1\n", .uuid = "u", .deleted = true});
}

TEST(Entry, RefusesWhatIsBeyondABound) {
  const std::string longest(base::max_value_bytes + 1, 'x');
  const auto some = [&](std::size_t size) { return std::string_view(longest).substr(0, size); };
  const auto taken = [](const Entry& entry) {
    return decode_update(make_update(entry)->encoded()).ok();
  };
  EXPECT_TRUE(taken({.key = "/a"}));
  EXPECT_FALSE(taken({.key = ""}));
  EXPECT_FALSE(taken({.key = "a\n"}));
  EXPECT_FALSE(taken({.key = some(base::max_key_bytes + 1)}));
  EXPECT_FALSE(taken({.key = "/a", .value = longest}));
  EXPECT_FALSE(taken({.key = "/a", .properties = some(base::max_properties_bytes + 1)}));
  EXPECT_FALSE(taken({.key = "/a", .uuid = some(base::max_uuid_bytes + 1)}));
}

TEST(Entry, HasThreeFiveOrSixFields) {
  const Entry full{.key = "/a", .value = "v", .properties = "p=1\n", .uuid = "u"};
  for (const std::uint32_t count : {3u, 4u, 5u, 6u, 7u}) {
    EXPECT_EQ(decode_update(packed(count, full)).ok(), count != 4 && count != 7) << count;
  }
  const auto empty = decode_update(packed(6, {.key = "/a"}));
  ASSERT_TRUE(empty) << "an empty uuid need not be there, and may";
  EXPECT_TRUE((*empty)->uuid.empty());
}

// The shard encodes an update once: what it stores, replays and publishes, and what a proxy passes
// on after it has read the link's message, are the same bytes.
TEST(Entry, IsEncodedOnce) {
  const Revision after(5, 41);
  const auto updates = sample_updates(after);
  std::string entries;
  for (const UpdatePtr& update : updates) append_entry(entries, *update);
  EXPECT_EQ(entries, std::string(updates[0]->encoded()) + std::string(updates[1]->encoded()) +
                         std::string(updates[2]->encoded()));

  const std::string batch = encode(Batch{.partition = "/", .after = after, .updates = updates});
  EXPECT_TRUE(batch.ends_with(entries));
  const std::string chunk = encode(Chunk{.revision = after, .updates = updates});
  EXPECT_TRUE(chunk.ends_with(entries));

  const auto passed_on = [&](const std::vector<UpdatePtr>& read) {
    std::string again;
    for (const UpdatePtr& update : read) append_entry(again, *update);
    return again;
  };
  EXPECT_EQ(passed_on(decode_batch(batch)->updates), entries);
  EXPECT_EQ(passed_on(std::get<Chunk>(*decode_from_shard(chunk)).updates), entries);

  // A form that this encoder would not choose is passed on as it came.
  const std::string unusual = packed(6, {.key = "/a", .revision = after});
  EXPECT_EQ((*decode_update(unusual))->encoded(), unusual);
}

TEST(Entry, NativeClientsReadEveryForm) {
  const auto updates = sample_updates(Revision(5, 41));
  for (const UpdatePtr& update : updates) {
    native::FromProxy message;
    const std::string frame = native::encode_got(7, update.get());
    EXPECT_TRUE(frame.ends_with(update->encoded()));
    const auto decoded = native::decode_from_proxy(frame, message);
    ASSERT_TRUE(decoded) << decoded.error();
    expect_same(std::get<native::Got>(message).entry.value(), *update);
  }
}

}  // namespace
}  // namespace canopy::wire
