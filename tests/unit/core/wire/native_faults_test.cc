// Every fault that reading a request can end in, and the request that the refusal names.
#include <gtest/gtest.h>

#include <functional>

#include "core/base/limits.h"
#include "core/wire/native_broker.h"
#include "core/wire/pack.h"
#include "tests/unit/core/wire/decoders.h"

namespace canopy::wire::native {
namespace {

using namespace std::string_literals;

std::string packed(const std::function<void(Packer&)>& fill) {
  std::string out(1, static_cast<char>(version));
  Packer packer(out);
  fill(packer);
  return out;
}

// A sound request after one change.
std::string write_with(const std::function<void(WriteRequest&)>& change) {
  WriteRequest request = sample_request();
  change(request);
  return encode(request);
}
std::string first_write_with(const std::function<void(Write&)>& change) {
  return write_with([&](WriteRequest& request) { change(request.writes[0]); });
}
std::string watch_with(const std::function<void(Watch&)>& change) {
  Watch watch{.request = 9, .subscription = {.subtree = "/a/"}};
  change(watch);
  return encode(watch);
}
std::string announce_with(const std::function<void(Announce&)>& change) {
  Announce announce{.request = 9, .client = std::string(client_id_bytes, 'c')};
  change(announce);
  return encode(announce);
}

struct Case {
  const char* name;
  std::string frame;
  Fault fault;
  std::uint64_t request;
  // Kind of what is refused; if not said, that of the frame.
  std::optional<unsigned> of = {};
};

// As it stands in the frame of every kind from 128 on.
unsigned kind_in(const std::string& frame) { return static_cast<unsigned char>(frame.at(3)); }

void expect_refused(const Case& each, const Refusal* refusal) {
  SCOPED_TRACE(each.name);
  ASSERT_NE(refusal, nullptr);
  EXPECT_EQ(name(refusal->fault), name(each.fault)) << refusal->text;
  EXPECT_EQ(refusal->request, each.request) << refusal->text;
  EXPECT_EQ(refusal->of, each.of ? *each.of : kind_in(each.frame)) << refusal->text;
  EXPECT_FALSE(refusal->text.empty());
  EXPECT_EQ(refusal->revision, keyspace::Revision());
}

void expect_refused_by_proxy(const std::vector<Case>& cases) {
  for (const Case& each : cases) {
    const auto decoded = decode_to_proxy(each.frame);
    expect_refused(each, std::get_if<Refusal>(&decoded));
  }
}

TEST(NativeFaults, OfAnyFrame) {
  const auto opening = [](std::uint64_t kind) {
    return packed([&](Packer& packer) {
      packer.array(3);
      packer.number(kind);
      packer.number(77);
      packer.nil();
    });
  };
  const std::string ping = encode(Ping{.request = 7});
  expect_refused_by_proxy({
      {"empty", "", Fault::malformed, 0, 0},
      {"only a version", "\x02", Fault::malformed, 0, 0},
      {"earlier version", "\x01" + ping.substr(1), Fault::version_unknown, 0, 0},
      {"later version", "\x03" + ping.substr(1), Fault::version_unknown, 0, 0},
      {"text", "GET / HTTP/1.1", Fault::version_unknown, 0, 0},
      {"no array", "\x02\x81\x01\x02", Fault::malformed, 0, 0},
      {"no kind", "\x02\x90", Fault::malformed, 0, 0},
      {"kind is text", "\x02\x92\xa1k\x07", Fault::malformed, 0, 0},
      {"unknown kind", opening(200), Fault::kind_unknown, 77},
      {"a very large kind", opening(UINT64_MAX), Fault::kind_unknown, 77, 0},
      {"kind beyond 32 bits", opening((1ull << 32) + 131), Fault::kind_unknown, 77, 0},
      {"an answer", encode(Drained{.request = 77}), Fault::kind_unknown, 77},
      {"a broker's", encode(Directory{.request = 77}), Fault::kind_unknown, 77},
      {"a field missing", "\x02\x91\xcc\x86", Fault::malformed, 0},
      {"a field too many", "\x02\x93\xcc\x86\x07\x01", Fault::malformed, 7},
      {"bytes after the end", ping + "x", Fault::malformed, 7},
      {"cut short", encode(sample_request()).substr(0, 40), Fault::malformed, 8},
      {"request 0", encode(Ping{}), Fault::bad_field, 0},
      {"no watch", encode(Unwatch{}), Fault::bad_field, 0},
  });
}

TEST(NativeFaults, OfHellos) {
  expect_refused_by_proxy({
      {"short client", announce_with([](Announce& h) { h.client.pop_back(); }), Fault::bad_field,
       9},
      {"long client", announce_with([](Announce& h) { h.client += 'c'; }), Fault::bad_field, 9},
      {"request 0", announce_with([](Announce& h) { h.request = 0; }), Fault::bad_field, 0},
      {"long name", announce_with([](Announce& h) { h.name.assign(256, 'n'); }), Fault::bad_field,
       9},
      {"name of two lines", announce_with([](Announce& h) { h.name = "a\nb"; }), Fault::bad_field,
       9},
      {"long software", announce_with([](Announce& h) { h.software.assign(256, 's'); }),
       Fault::bad_field, 9},
  });
}

TEST(NativeFaults, OfWrites) {
  const auto long_value = [](Write& write) { write.value.assign(base::max_value_bytes + 1, 'v'); };
  const auto long_properties = [](Write& write) {
    write.properties.assign(base::max_properties_bytes + 1, 'p');
  };
  expect_refused_by_proxy({
      {"number 0", write_with([](auto& r) { r.number = r.settled = 0; }), Fault::bad_field, 0},
      {"settled beyond", write_with([](auto& r) { r.settled = 9; }), Fault::bad_field, 8},
      {"no writes", write_with([](auto& r) { r.writes.clear(); }), Fault::bad_field, 8},
      {"too many writes", write_with([](auto& r) { r.writes.resize(max_writes + 1, r.writes[0]); }),
       Fault::too_large, 8},
      {"long value", first_write_with(long_value), Fault::too_large, 8},
      {"long properties", first_write_with(long_properties), Fault::too_large, 8},
      {"no key", first_write_with([](Write& w) { w.key.clear(); }), Fault::bad_key, 8},
      {"long key", first_write_with([](Write& w) { w.key.assign(256, 'k'); }), Fault::bad_key, 8},
      {"key of the protocol", first_write_with([](Write& w) { w.key = "KTHXBAI"; }), Fault::bad_key,
       8},
      {"zero in a key", first_write_with([](Write& w) { w.key = "/a\0b"s; }), Fault::bad_key, 8},
      {"negative ttl", first_write_with([](Write& w) { w.ttl_ms = -1; }), Fault::bad_field, 8},
      {"long ttl", first_write_with([](Write& w) { w.ttl_ms = max_ttl_ms + 1; }), Fault::bad_field,
       8},
  });
  const auto decoded = decode_to_proxy(
      write_with([](auto& request) { request.writes.resize(max_writes, request.writes[0]); }));
  EXPECT_TRUE(std::holds_alternative<ToProxy>(decoded));
}

TEST(NativeFaults, OfARequestLargerThanAFrame) {
  const auto decoded = decode_to_proxy(write_with([](WriteRequest& request) {
    request.writes[0].value.assign(base::max_value_bytes, 'v');
    request.writes.assign(5, Write(request.writes[0]));
  }));
  expect_refused({"5 MiB", {}, Fault::too_large, 8, 129}, std::get_if<Refusal>(&decoded));
}

TEST(NativeFaults, OfWatches) {
  const Revisions twice{{"/a/", {1, 1}}, {"/b/", {1, 1}}, {"/a/", {1, 2}}};
  const auto subtree = [](const char* text) {
    return watch_with([=](Watch& watch) { watch.subscription.subtree = text; });
  };
  Revisions many;
  while (many.size() <= max_partitions) {
    many.push_back({std::to_string(many.size()) + "/", {1, 1}});
  }
  expect_refused_by_proxy({
      {"request 0", watch_with([](Watch& w) { w.request = 0; }), Fault::bad_field, 0},
      {"control character", subtree("/a\n/"), Fault::bad_subtree, 9},
      {"word of the protocol", subtree("HUGZ"), Fault::bad_subtree, 9},
      {"long subtree", subtree(std::string(256, '/').c_str()), Fault::bad_subtree, 9},
      {"beyond a minute",
       watch_with([](Watch& w) { w.subscription.latest_ms = max_latest_ms + 1; }), Fault::bad_field,
       9},
      {"known twice", watch_with([&](Watch& w) { w.known = twice; }), Fault::malformed, 9},
      {"known is no subtree", watch_with([](Watch& w) {
         w.known = {{"/a", {1, 1}}};
       }),
       Fault::bad_subtree, 9},
      {"too many known", watch_with([&](Watch& w) { w.known = many; }), Fault::too_large, 9},
  });
  many.pop_back();
  const auto decoded = decode_to_proxy(watch_with([&](Watch& watch) {
    watch.known = many;
    watch.subscription.latest_ms = max_latest_ms;
  }));
  EXPECT_TRUE(std::holds_alternative<ToProxy>(decoded));
}

TEST(NativeFaults, OfReads) {
  expect_refused_by_proxy({
      {"get 0", encode(Get{.request = 0, .key = "/a"}), Fault::bad_field, 0},
      {"no key", encode(Get{.request = 9}), Fault::bad_key, 9},
      {"long key", encode(Get{.request = 9, .key = std::string(256, 'k')}), Fault::bad_key, 9},
      {"list 0", encode(List{}), Fault::bad_field, 0},
      {"no subtree", encode(List{.request = 9, .subtree = "HUGZ"}), Fault::bad_subtree, 9},
      {"clients 0", encode(Clients{}), Fault::bad_field, 0},
      {"kick 0", encode(Kick{.connection = 1}), Fault::bad_field, 0},
  });
}

// Fields of another type, as a client in another language might send them.
TEST(NativeFaults, OfTypes) {
  const auto watch = [](const std::function<void(Packer&)>& lz4) {
    return packed([&](Packer& packer) {
      packer.array(6);
      packer.number(static_cast<unsigned>(Kind::watch));
      packer.number(7);
      packer.text("/a/");
      packer.number(0);
      lz4(packer);
      packer.map(0);
    });
  };
  const auto signed_one = [](std::int64_t value) {
    return [=](Packer& packer) { packer.signed_number(value); };
  };
  expect_refused_by_proxy({
      {"text", watch([](Packer& p) { p.text("1"); }), Fault::malformed, 7},
      {"nil", watch([](Packer& p) { p.nil(); }), Fault::malformed, 7},
      {"array", watch([](Packer& p) { p.array(0); }), Fault::malformed, 7},
      {"boolean", watch([](Packer& p) { p.boolean(true); }), Fault::malformed, 7},
      {"negative", watch(signed_one(-1)), Fault::bad_field, 7},
      {"very negative", watch(signed_one(INT64_MIN)), Fault::bad_field, 7},
      {"two", watch(signed_one(2)), Fault::bad_field, 7},
      {"beyond 32 bits", watch([](Packer& p) { p.number((1ull << 32) + 1); }), Fault::bad_field, 7},
  });
  // Signed or longer than need be, a number is the number it is.
  for (const char* one : {"\x01", "\xcc\x01", "\xd0\x01"}) {
    const auto decoded = decode_to_proxy("\x02\x92\xcc\x86"s + one);
    EXPECT_TRUE(std::holds_alternative<ToProxy>(decoded)) << testing::PrintToString(one);
  }
}

TEST(NativeFaults, OfTheBroker) {
  for (const Case& each : std::vector<Case>{
           {"a proxy's", encode(Ping{.request = 7}), Fault::kind_unknown, 7},
           {"request 0", encode(Directory{}), Fault::bad_field, 0},
           {"long prefix", encode(Directory{.request = 7, .prefix = std::string(256, 'p')}),
            Fault::bad_field, 7},
           {"no name", encode(Drain{.request = 7}), Fault::bad_field, 7},
           {"control character", encode(Drain{.request = 7, .name = "a\nb"}), Fault::bad_field, 7},
           {"earlier version", "\x01\x93\xcc\x90\x07\xa0", Fault::version_unknown, 0, 0}}) {
    const auto decoded = decode_to_broker(each.frame);
    expect_refused(each, std::get_if<Refusal>(&decoded));
  }
}

TEST(NativeFaults, VersionUnknownNamesTheVersionSpoken) {
  const auto decoded = decode_to_proxy("\x01\x90");
  EXPECT_NE(std::get<Refusal>(decoded).text.find("version 2"), std::string::npos);
}

TEST(NativeKinds, AreToldFromThoseOfProcesses) {
  for (const Decoder& decoder : native_decoders()) {
    for (const std::string& frame : decoder.samples) EXPECT_TRUE(is_native(frame)) << decoder.name;
  }
  EXPECT_TRUE(is_native("\x01\x93\xcc\x90\x07\xa0")) << "to be told the version";
  EXPECT_FALSE(is_native("\x01\x94\x01\x01\xa2p1\x07")) << "a registration of a process";
  EXPECT_FALSE(is_native("\x01\x92\x7f\x01"));
  EXPECT_FALSE(is_native("\x01\x90"));
  EXPECT_FALSE(is_native("\x01"));
  EXPECT_FALSE(is_native(""));
  EXPECT_FALSE(is_native("\x01\x92\xa1k\x01"));
}

}  // namespace
}  // namespace canopy::wire::native
