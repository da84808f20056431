#include "client/cli/hint.h"

#include <gtest/gtest.h>

namespace canopy::client::cli {
namespace {

std::string hint(Action action, const std::string& subject) {
  return hint_for({.action = action, .subject = subject});
}

TEST(Hint, ThereIsNoneForWhatIsUsual) {
  for (const Action action : {Action::put, Action::erase}) {
    EXPECT_EQ(hint(action, "/results/eu/42"), "");
  }
  for (const Action action : {Action::list, Action::watch}) {
    EXPECT_EQ(hint(action, "/results/"), "");
    EXPECT_EQ(hint(action, ""), "") << "the root";
  }
  EXPECT_EQ(hint(Action::put, "/results/"), "");
  EXPECT_EQ(hint(Action::status, ""), "");
}

TEST(Hint, ASubtreeEndsWithASlash) {
  for (const Action action : {Action::list, Action::watch}) {
    EXPECT_EQ(hint(action, "/results"), "a subtree ends with '/': did you mean /results/?");
  }
}

TEST(Hint, KeysUsuallyBeginWithASlash) {
  EXPECT_EQ(hint(Action::get, "results/eu/42"),
            "keys usually begin with '/': did you mean /results/eu/42?");
  EXPECT_EQ(hint(Action::put, "results/eu/42"), hint(Action::get, "results/eu/42"));
  EXPECT_EQ(hint(Action::list, "results/"), "keys usually begin with '/': did you mean /results/?");
  EXPECT_EQ(hint(Action::watch, "results\x1b"),
            "a subtree ends with '/', and keys usually begin with '/': did you mean "
            "/results\\x1b/?");
}

TEST(Hint, AStarIsNoWildcard) {
  for (const Action action :
       {Action::put, Action::get, Action::erase, Action::list, Action::watch}) {
    EXPECT_EQ(hint(action, "/results/eu*/x"),
              "'*' stands for itself in a key: `canopy list /results/` prints what is below it");
    EXPECT_EQ(hint(action, "results/*"), hint(action, "/results/*"));
    EXPECT_EQ(hint(action, "a*"),
              "'*' stands for itself in a key: `canopy list *` prints everything");
  }
  EXPECT_NE(hint(Action::get, "*"), "");
}

TEST(Hint, ASubtreeIsNeitherReadNorDeletedAsAKey) {
  EXPECT_EQ(hint(Action::get, "/results/"),
            "this is one key: `canopy list /results/` prints what is below it");
  EXPECT_EQ(hint(Action::erase, "/results/"),
            "this is one key: the keys below it are not deleted (see --subtree)");
}

TEST(Hint, AWriteIsOddOnlyWhereKeysBeginWithASlash) {
  const auto condition = [](const std::string& subject) {
    return condition_of_hint({.action = Action::put, .subject = subject});
  };
  EXPECT_EQ(condition("results/eu/42"), "/results/");
  EXPECT_EQ(condition("mode"), "/mode");
  EXPECT_EQ(condition("results/*"), "");
  EXPECT_EQ(condition("/results/"), "");
}

TEST(Hint, AGetOfASubtreeWithoutItsSlashGetsOne) {
  EXPECT_EQ(hint(Action::get, "/results"),
            "there are keys below it: `canopy list /results/` prints them");
  EXPECT_EQ(condition_of_hint({.action = Action::get, .subject = "/results"}), "/results/");
  EXPECT_EQ(condition_of_hint({.action = Action::get, .subject = "results"}), "");
}

}  // namespace
}  // namespace canopy::client::cli
