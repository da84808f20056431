#include "core/wire/link.h"

#include <gtest/gtest.h>

#include <random>

#include "core/base/limits.h"

namespace canopy::wire {
namespace {

using keyspace::Revision;
using keyspace::Update;
using keyspace::UpdatePtr;

std::vector<UpdatePtr> some_updates(Revision after) {
  std::vector<UpdatePtr> updates;
  const auto add = [&](Update update) {
    after = after.next();
    update.revision = after;
    updates.push_back(std::make_shared<Update>(std::move(update)));
  };
  add({.key = "/a", .value = std::string("\0binary\xff", 8)});
  add({.key = "/b", .deleted = true});
  add({.key = "/c",
       .value = std::string(300, 'v'),
       .properties = "ttl=3\n",
       .uuid = std::string(16, 'u'),
       .expires_at_ms = 1'800'000'000'000});
  return updates;
}

void expect_same(const std::vector<UpdatePtr>& a, const std::vector<UpdatePtr>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i]->key, b[i]->key);
    EXPECT_EQ(a[i]->value, b[i]->value);
    EXPECT_EQ(a[i]->properties, b[i]->properties);
    EXPECT_EQ(a[i]->uuid, b[i]->uuid);
    EXPECT_EQ(a[i]->revision, b[i]->revision);
    EXPECT_EQ(a[i]->expires_at_ms, b[i]->expires_at_ms);
    EXPECT_EQ(a[i]->deleted, b[i]->deleted);
  }
}

std::vector<std::string> one_of_each() {
  const Revision after(5, 41);
  return {encode(Writes{{{.key = "/a", .value = "v", .ttl_ms = 5, .properties = "p", .uuid = ""},
                         {.key = "/b", .deletes = true}}}),
          encode(Sync{.request = 7, .partition = "/results/", .since = after}),
          encode(Credit{.request = 7, .chunks = 2}),
          encode(Chunk{.request = 7,
                       .partition = "",
                       .kind = Chunk::Kind::snapshot,
                       .revision = after,
                       .last = true,
                       .updates = some_updates(after)}),
          encode(Refused{.request = 7, .partition = "/results/", .why = "loading"}),
          encode(Batch{.partition = "/results/",
                       .after = after,
                       .committed = base::TimePoint(base::Duration(123)),
                       .updates = some_updates(after)})};
}

void decode_all(std::string_view bytes) {
  (void)decode_to_shard(bytes).ok();
  (void)decode_from_shard(bytes).ok();
  (void)decode_batch(bytes).ok();
  (void)decode_update(bytes).ok();
}

TEST(Link, RoundTrips) {
  const Revision after(5, 41);
  const auto messages = one_of_each();
  auto writes = decode_to_shard(messages[0]);
  ASSERT_TRUE(writes);
  ASSERT_EQ(std::get<Writes>(*writes).writes.size(), 2u);
  EXPECT_EQ(std::get<Writes>(*writes).writes[0].ttl_ms, 5);
  EXPECT_TRUE(std::get<Writes>(*writes).writes[1].deletes);
  auto sync = decode_to_shard(messages[1]);
  ASSERT_TRUE(sync);
  EXPECT_EQ(std::get<Sync>(*sync).since, after);
  auto credit = decode_to_shard(messages[2]);
  ASSERT_TRUE(credit);
  EXPECT_EQ(std::get<Credit>(*credit).chunks, 2u);
  auto chunk = decode_from_shard(messages[3]);
  ASSERT_TRUE(chunk);
  EXPECT_TRUE(std::get<Chunk>(*chunk).last);
  expect_same(std::get<Chunk>(*chunk).updates, some_updates(after));
  auto refused = decode_from_shard(messages[4]);
  ASSERT_TRUE(refused);
  EXPECT_EQ(std::get<Refused>(*refused).why, "loading");
  auto batch = decode_batch(messages[5]);
  ASSERT_TRUE(batch) << batch.error();
  EXPECT_EQ(batch->partition, "/results/");
  EXPECT_EQ(batch->end(), Revision(5, 44));
  EXPECT_EQ(batch->committed, base::TimePoint(base::Duration(123)));
  expect_same(batch->updates, some_updates(after));
  const auto entry = some_updates(after)[2];
  auto stored = decode_update(encode(*entry));
  ASSERT_TRUE(stored);
  expect_same({*stored}, {entry});
}

TEST(Link, EveryCutIsAnError) {
  for (const std::string& message : one_of_each()) {
    for (std::size_t length = 0; length < message.size(); ++length) {
      const std::string_view cut = std::string_view(message).substr(0, length);
      EXPECT_FALSE(decode_to_shard(cut));
      EXPECT_FALSE(decode_from_shard(cut));
      EXPECT_FALSE(decode_batch(cut));
    }
    EXPECT_FALSE(decode_to_shard(message + "x"));
    EXPECT_FALSE(decode_from_shard(message + "x"));
    EXPECT_FALSE(decode_batch(message + "x"));
  }
}

TEST(Link, SurvivesNoise) {
  std::mt19937 random(3);
  const auto messages = one_of_each();
  for (int i = 0; i < 30'000; ++i) {
    std::string bytes = messages[random() % messages.size()];
    for (unsigned flips = 1 + random() % 4; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    decode_all(bytes);
    bytes.resize(random() % 64);
    for (char& byte : bytes) byte = static_cast<char>(random());
    decode_all(bytes);
  }
}

TEST(Link, RefusesWhatItsFieldsForbid) {
  const auto batch_of = [](Revision after, Revision first) {
    return encode(Batch{.partition = "/a/",
                        .after = after,
                        .updates = {std::make_shared<Update>(
                            Update{.key = "/a/b", .value = "v", .revision = first})}});
  };
  EXPECT_TRUE(decode_batch(batch_of(Revision(1, 4), Revision(1, 5))));
  EXPECT_FALSE(decode_batch(batch_of(Revision(1, 4), Revision(1, 6))));
  EXPECT_FALSE(decode_batch(batch_of(Revision(1, 4), Revision(2, 5))));
  EXPECT_FALSE(decode_to_shard(encode(Writes{{{.key = "HUGZ", .value = "v"}}})));
  EXPECT_FALSE(decode_to_shard(
      encode(Writes{{{.key = "/a", .value = std::string(base::max_value_bytes + 1, 'v')}}})));
  EXPECT_FALSE(decode_to_shard(encode(Sync{.partition = "/a"})));
}

// An array that claims four billion elements must not be believed.
TEST(Link, RefusesLengthsThatCannotBe) {
  EXPECT_FALSE(decode_to_shard(std::string_view("\x93\x01\x01\xdd\xff\xff\xff\xff", 8)));
  EXPECT_FALSE(decode_to_shard(std::string_view("\xdd\xff\xff\xff\xff", 5)));
  EXPECT_FALSE(decode_to_shard(std::string(100'000, '\x91')));
}

}  // namespace
}  // namespace canopy::wire
