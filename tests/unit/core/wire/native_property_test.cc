// Whatever native message is encoded, decoding it and encoding it again makes the same bytes.
#include <gtest/gtest.h>

#include <random>

#include "core/base/limits.h"
#include "core/wire/native.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire::native {
namespace {

using keyspace::Revision;

class Anything {
 public:
  explicit Anything(unsigned seed) : random_(seed) {}

  std::uint64_t number(std::uint64_t min, std::uint64_t max) {
    // Of any length, not only of the largest.
    const std::uint64_t spread = random_() >> (random_() % 64);
    return max - min == UINT64_MAX ? spread : min + spread % (max - min + 1);
  }
  std::uint32_t small(std::uint32_t min, std::uint32_t max) {
    return static_cast<std::uint32_t>(number(min, max));
  }
  bool coin() { return random_() % 2 == 0; }
  Revision revision() { return Revision(number(0, UINT64_MAX)); }
  std::string bytes(std::size_t max) {
    std::string bytes(number(0, max), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random_());
    return bytes;
  }
  std::string key() {
    std::string key = "/" + bytes(base::max_key_bytes - 1);
    for (char& c : key) c = static_cast<char>(c | 0x80);
    return key;
  }
  std::string subtree() { return coin() ? std::string() : key().substr(0, 200) + '/'; }
  Revisions revisions() {
    std::string name;
    Revisions all(number(0, 20));
    for (auto& each : all) each = {.partition = (name += '/'), .revision = revision()};
    return all;
  }
  Write write() {
    Write write{.key = key(), .deletes = coin(), .properties = bytes(base::max_properties_bytes)};
    write.ttl_ms = static_cast<std::int64_t>(number(0, max_ttl_ms));
    if (!write.deletes) write.value = bytes(70'000);
    if (coin()) write.if_revision = revision();
    return write;
  }
  std::string entries(std::uint32_t count) {
    std::string out;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string name = key(), value = bytes(1000), properties = bytes(300);
      Entry entry{.key = name, .revision = revision(), .deleted = coin()};
      if (!entry.deleted) entry.value = value;
      if (coin()) entry.properties = properties;
      if (coin()) entry.expires_at_ms = static_cast<std::int64_t>(number(0, INT64_MAX));
      append_entry(out, entry);
    }
    return out;
  }

 private:
  std::mt19937_64 random_;
};

TEST(NativeProperty, AnyRequestComesBack) {
  Anything any(11);
  for (int i = 0; i < 300; ++i) {
    const std::uint64_t request = any.number(1, UINT64_MAX);
    WriteRequest write{.number = request, .settled = any.number(0, request)};
    for (auto count = any.number(1, 40); count > 0; --count) write.writes.push_back(any.write());
    const std::string subtree = any.coin() ? any.key() : any.subtree();
    const Watch watch{.request = request,
                      .subscription = {subtree, any.small(0, max_latest_ms), any.coin()},
                      .known = any.revisions()};
    const Announce announce{.request = request,
                            .client = any.coin() ? std::string() : std::string(16, '\xff'),
                            .name = any.key(),
                            .software = any.subtree()};
    const List list{.request = request, .subtree = subtree, .limit = any.number(0, UINT64_MAX)};
    for (const std::string& frame :
         {encode(write), encode(watch), encode(announce), encode(list),
          encode(Get{.request = request, .key = any.key()}), encode(Ping{.request = request}),
          encode(Unwatch{.request = request})}) {
      const auto decoded = decode_to_proxy(frame);
      ASSERT_TRUE(std::holds_alternative<ToProxy>(decoded)) << std::get<Refusal>(decoded).text;
      EXPECT_EQ(request_again(decoded), frame);
    }
  }
}

TEST(NativeProperty, AnyBatchAndChunkComesBack) {
  Anything any(12);
  for (int i = 0; i < 300; ++i) {
    const std::uint32_t count = any.small(0, 200);
    const std::string entries = any.entries(count);
    const BatchHeader header{.stream = any.number(0, UINT64_MAX),
                             .after = any.number(0, UINT64_MAX - count),
                             .count = count,
                             .revisions = any.revisions()};
    const std::string plain = encode_batch(header, entries);
    EXPECT_EQ(from_proxy_again(plain), plain);
    if (count > 0) {
      EXPECT_EQ(from_proxy_again(encode_batch(header, compress(entries), entries.size())), plain);
    }
    const std::string chunk = encode_chunk({.request = any.number(0, UINT64_MAX),
                                            .partition = any.subtree(),
                                            .revision = any.revision(),
                                            .more = ChunkHeader::More::same_partition,
                                            .count = count},
                                           entries);
    EXPECT_EQ(from_proxy_again(chunk), chunk);
  }
}

}  // namespace
}  // namespace canopy::wire::native
