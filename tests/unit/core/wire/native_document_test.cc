// docs/reference/protocol.md says what the code does: its bytes to check against, and its table of
// errors.
#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/wire/native.h"

namespace canopy::wire::native {
namespace {

using keyspace::Revision;

std::string document() {
  std::ifstream file(CANOPY_SOURCE_DIR "/docs/reference/protocol.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += "0123456789abcdef"[value >> 4];
    out += "0123456789abcdef"[value & 15];
  }
  return out;
}

std::string entry_of(const keyspace::Entry& update) {
  std::string out;
  append_entry(out, update);
  return out;
}

// What the document describes, and its bytes.
std::vector<std::pair<std::string, std::string>> examples() {
  const keyspace::Entry put{.key = "/a", .value = "v", .revision = Revision(300)};
  const keyspace::Entry removed{.key = "/b", .revision = Revision(301), .deleted = true};
  const keyspace::Entry rich{
      .key = "/a", .value = "v", .properties = "p", .revision = Revision(300), .expires_at_ms = 2};
  const std::string entries = entry_of(put) + entry_of(removed);
  return {
      {"entry /a = v of revision 300", entry_of(put)},
      {"entry /b deleted by revision 301", entry_of(removed)},
      {"entry /a, expires at 2, properties p", entry_of(rich)},
      {"announce 1, client 16 times c, name n, software s",
       encode(
           Announce{.request = 1, .client = std::string(16, 'c'), .name = "n", .software = "s"})},
      {"write 2, settled 1: /a = v, ttl 5 ms",
       encode(WriteRequest{
           .number = 2, .settled = 1, .writes = {{.key = "/a", .value = "v", .ttl_ms = 5}}})},
      {"watch 3 of /r/, latest 258 ms, lz4, knows / at 7",
       encode(Watch{.request = 3,
                    .subscription = {.subtree = "/r/", .latest_ms = 258, .lz4 = true},
                    .known = {{"/", Revision(7)}}})},
      {"get 4 of /a", encode(Get{.request = 4, .key = "/a"})},
      {"list 5 of everything, no limit", encode(List{.request = 5})},
      {"ping 200", encode(Ping{.request = 200})},
      {"chunk for 3, / full at 301, last, the two entries",
       encode_chunk({.request = 3, .partition = "/", .revision = Revision(301), .count = 2},
                    entries)},
      {"caught_up 3, stream 9, position 70000",
       encode(CaughtUp{.request = 3, .stream = 9, .position = 70'000})},
      {"gap 3, missed 300", encode(Gap{.request = 3, .missed = 300})},
      {"gap 3, began anew", encode(Gap{.request = 3})},
      {"batch of stream 9 after 70000, / at 301",
       encode_batch({.stream = 9, .after = 70'000, .count = 2, .revisions = {{"/", Revision(301)}}},
                    entries)},
      {"refusal of write 2, full: no", encode(Refusal{.request = 2,
                                                      .fault = Fault::full,
                                                      .text = "no",
                                                      .of = static_cast<unsigned>(Kind::write)})},
  };
}

TEST(NativeDocument, BytesAreThoseOfTheEncoder) {
  const std::string text = document();
  const auto section = text.find("## Bytes to check against");
  ASSERT_NE(section, std::string::npos);
  std::istringstream lines(text.substr(section));
  std::vector<std::string> written;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("    ")) written.push_back(line);
  }
  // "    name    01 02 …", the bytes grouped as it pleases.
  std::vector<std::string> expected;
  for (const auto& [name, frame] : examples()) expected.push_back(name + " " + hex(frame));
  for (std::string& line : written) {
    const auto gap = line.find("   ", 4);
    ASSERT_NE(gap, std::string::npos) << line;
    std::string bytes = line.substr(gap);
    std::erase(bytes, ' ');
    line = line.substr(4, gap - 4) + " " + bytes;
  }
  EXPECT_THAT(written, testing::ElementsAreArray(expected));
}

TEST(NativeDocument, ErrorsAreThoseOfTheCode) {
  const std::string text = document();
  unsigned faults = 0;
  for (unsigned number = 1; number < 64; ++number) {
    const std::string row = "\n| " + std::to_string(number) + " | ";
    const auto fault = static_cast<Fault>(number);
    EXPECT_EQ(text.find(row) != std::string::npos, known(number)) << number;
    if (!known(number)) continue;
    ++faults;
    const std::string named = row + std::string(name(fault)) + " | ";
    EXPECT_NE(text.find(named), std::string::npos) << name(fault);
  }
  EXPECT_GT(faults, 20u);
}

}  // namespace
}  // namespace canopy::wire::native
