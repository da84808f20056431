// Reading any file yields a cluster, or an error with a line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/text.h"
#include "core/config/cluster.h"
#include "core/config/reader.h"

namespace canopy::config {
namespace {

using ::testing::StartsWith;

std::string error_of(const std::string& text) {
  const auto cluster = parse_cluster(text, "c.yaml");
  return cluster ? "no error" : cluster.error();
}

TEST(Noise, NoCutOfAGoodFileCrashes) {
  const std::string good =
      "shards:\n  - name: a\n    partitions:\n      - {subtree: \"*\", durability: disk}\n"
      "proxies:\n  - {name: p, kvsimple: \"tcp://127.0.0.1:5556\"}\n";
  for (std::size_t length = 0; length <= good.size(); ++length) {
    error_of(good.substr(0, length));
    error_of(good.substr(length));
  }
}

// A minimal file in which the setting has this value.
std::string file_with(const std::string& key, const std::string& value) {
  const auto entries = [&](const std::string& section, const std::string& required) {
    const bool inside = key.starts_with(section) && key.find('.', section.size()) == key.npos;
    const std::string own = key.substr(inside ? section.size() : 0);
    std::string all = inside ? own + ": " + value : "";
    if (inside && required.starts_with(own + ":")) return all;
    return all.empty() ? required : required + ", " + all;
  };
  std::string own_shard = entries("shards.", "name: a");
  if (key != "shards.partitions") own_shard += ", partitions: [{subtree: \"*\"}]";
  const bool places = key == "partitions.on" || key == "partitions.replicas";
  std::string text;
  if (key.find('.') == key.npos) text += key + ": " + value + "\n";
  if (key != "coordination") {
    text += "coordination: {" + entries("coordination.", "lease_ms: 3000") + "}\n";
  }
  if (key != "broker") text += "broker: {" + entries("broker.", "drain_ms: 3000") + "}\n";
  if (key != "partitions") {
    text += "partitions: [{" + entries("partitions.", "subtree: /a/") +
            (places ? "" : ", on: [a]") + "}]\n";
  }
  if (key != "shards") text += "shards: [{" + own_shard + "}]\n";
  if (key != "proxies") text += "proxies: [{" + entries("proxies.", "name: p") + "}]\n";
  return text;
}

// Each setting with unusual values: a cluster, or an error of one line with its place.
TEST(Noise, EverySettingWithOddValuesEndsWithAClusterOrALine) {
  const std::vector<std::string> values = {"",
                                           "~",
                                           "\"\"",
                                           "0",
                                           "-1",
                                           "007",
                                           "0x10",
                                           "1e3",
                                           "1.5",
                                           "99999999999999999999",
                                           "true",
                                           "yes",
                                           "\"\\0\"",
                                           "\"\\n\"",
                                           "\xff",
                                           "[]",
                                           "{}",
                                           "[a, b]",
                                           "{a: b}",
                                           "&x y",
                                           "*nothing",
                                           "!!int 5",
                                           "a",
                                           "/",
                                           ".",
                                           "..",
                                           "~/x",
                                           "\"*\"",
                                           "-",
                                           "--help",
                                           "tcp://[::1]:1",
                                           "ipc://x",
                                           "[[[[]]]]",
                                           "\"" + std::string(100'000, 'x') + "\"",
                                           "\"\\u2028\\u00e9\"",
                                           "<<: {}"};
  std::size_t accepted = 0;
  for (const std::string& key : setting_keys()) {
    for (const std::string& value : values) {
      const std::string text = file_with(key, value);
      const auto cluster = parse_cluster(text, "c.yaml");
      accepted += cluster ? 1 : 0;
      if (cluster) continue;
      EXPECT_THAT(cluster.error(), StartsWith("c.yaml:")) << text;
      EXPECT_LT(cluster.error().size(), 2000u);
      EXPECT_FALSE(base::has_control(cluster.error())) << text;
    }
  }
  EXPECT_GT(accepted, 100u);  // or else the files are wrong elsewhere
}

}  // namespace
}  // namespace canopy::config
