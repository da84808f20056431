#include "core/coordination/json_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace canopy::coordination {
namespace {

using ::testing::ElementsAre;

struct Cut {
  bool fine = true;
  std::vector<std::string> objects{};
};

Cut cut(const std::vector<std::string>& pieces, std::size_t max_bytes = 100) {
  JsonSplitter splitter(max_bytes);
  Cut result;
  for (const std::string& piece : pieces) {
    result.fine = result.fine && splitter.feed(piece, [&](std::string_view object) {
      result.objects.emplace_back(object);
    });
  }
  return result;
}

const std::string first = R"({"a":{"b":["}",{}]},"c":"\"}{\\"})";
const std::string second = "{}";
const std::string third = "{\"d\":\n 1}";
const std::string stream = first + "\n" + second + third + " \r\n\t";

TEST(JsonSplitter, FindsObjectsHoweverTheyAreCut) {
  for (std::size_t i = 0; i <= stream.size(); ++i) {
    for (std::size_t j = i; j <= stream.size(); ++j) {
      const Cut result = cut({stream.substr(0, i), stream.substr(i, j - i), stream.substr(j)});
      EXPECT_TRUE(result.fine);
      EXPECT_THAT(result.objects, ElementsAre(first, second, third)) << i << " " << j;
    }
  }
  std::vector<std::string> bytes;
  for (const char c : stream) bytes.emplace_back(1, c);
  EXPECT_THAT(cut(bytes).objects, ElementsAre(first, second, third));
}

TEST(JsonSplitter, RefusesWhatIsNoObject) {
  for (const char* text : {"[{}]", "1", "}", "\"{}\"", "{} x", "{}]", "null"}) {
    EXPECT_FALSE(cut({text}).fine) << text;
  }
}

TEST(JsonSplitter, HoldsUpToItsBound) {
  const std::string object = R"({"a":"1234"})";
  for (std::size_t i = 0; i <= object.size(); ++i) {
    const std::vector<std::string> pieces{object.substr(0, i), object.substr(i)};
    EXPECT_TRUE(cut(pieces, object.size()).fine);
    EXPECT_FALSE(cut(pieces, object.size() - 1).fine);
  }
  EXPECT_FALSE(cut({std::string(101, '{')}).fine);
}

}  // namespace
}  // namespace canopy::coordination
