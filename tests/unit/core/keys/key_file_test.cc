#include "core/keys/key_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace canopy::keys {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string public_key(access::key_characters, 'p');
const std::string secret_key = "s###$s###$s###$s###$s###$s###$s###$s###$";

class KeyFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string made = (fs::temp_directory_path() / "canopy-keys-XXXXXX").string();
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    directory_ = made;
  }
  void TearDown() override { fs::remove_all(directory_); }

  std::string path(const std::string& name) const { return (directory_ / name).string(); }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path(name)) << text;
    chmod(path(name).c_str(), mode);
    return path(name);
  }
  static std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  static mode_t mode(const std::string& path) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 ? status.st_mode & 07777u : 0;
  }

  fs::path directory_;
};

TEST_F(KeyFile, WhatIsWrittenIsRead) {
  const access::KeyPair pair{.public_key = public_key, .secret_key = secret_key};
  ASSERT_TRUE(write_key_files(directory_, "a", pair).ok());
  EXPECT_EQ(*read_key_pair(path("a.key_secret")), pair);
  EXPECT_EQ(*read_public_key(path("a.key")), public_key);
  EXPECT_EQ(*read_public_key(path("a.key_secret")), public_key);
  EXPECT_THAT(read(path("a.key")), Not(HasSubstr(secret_key)));
}

TEST_F(KeyFile, OnlyTheOwnerReadsTheSecret) {
  const mode_t before = umask(0);
  const auto written = write_key_files(directory_, "a", {public_key, secret_key});
  umask(before);
  ASSERT_TRUE(written.ok()) << written.error();
  EXPECT_EQ(mode(path("a.key_secret")), 0600u);
  EXPECT_EQ(mode(path("a.key")), 0644u);
}

TEST_F(KeyFile, NeitherFileIsOverwritten) {
  for (const char* taken : {"a.key", "a.key_secret"}) {
    write(taken, "kept");
    const auto written = write_key_files(directory_, "a", {public_key, secret_key});
    ASSERT_FALSE(written.ok());
    EXPECT_THAT(written.error(), AllOf(HasSubstr(path(taken)), HasSubstr("File exists")));
    EXPECT_EQ(read(path(taken)), "kept");
    EXPECT_EQ(std::distance(fs::directory_iterator(directory_), {}), 1) << "nothing is left behind";
    fs::remove(path(taken));
  }
}

TEST_F(KeyFile, ASecretThatOthersMayReadIsRefused) {
  ASSERT_TRUE(write_key_files(directory_, "a", {public_key, secret_key}).ok());
  for (const mode_t open : {0640u, 0604u, 0620u, 0644u}) {
    chmod(path("a.key_secret").c_str(), open);
    const auto pair = read_key_pair(path("a.key_secret"));
    ASSERT_FALSE(pair.ok());
    EXPECT_THAT(pair.error(), AllOf(HasSubstr(path("a.key_secret")), HasSubstr("chmod 600")));
  }
  chmod(path("a.key_secret").c_str(), 0400);
  EXPECT_TRUE(read_key_pair(path("a.key_secret")).ok());
}

TEST_F(KeyFile, CommentsAndSpacesDoNotMatter) {
  const std::string file =
      write("k",
            "#   **** public-key = \"no\"\n\nmetadata\n  name = \"x\"\ncurve\n\t"
            "public-key=\"" +
                public_key + "\"  \n  secret-key  =  \"" + secret_key + "\"");
  EXPECT_EQ(*read_key_pair(file), (access::KeyPair{public_key, secret_key}));
}

TEST_F(KeyFile, WhatIsNoKeyIsRefusedWithoutBeingShown) {
  for (const std::string& text :
       {std::string(), std::string("curve\n"), "public-key = \"" + public_key,
        "public-key = " + public_key, "public-key = \"" + public_key + "x\"",
        "public-key = \"" + public_key.substr(1) + "\"",
        "public-key = \"" + public_key.substr(1) + "~\"", "secret-key = \"" + secret_key + "\"",
        std::string(1000, '\0')}) {
    const auto pair = read_key_pair(write("k", text));
    ASSERT_FALSE(pair.ok()) << text;
    EXPECT_THAT(pair.error(), AllOf(HasSubstr(path("k")), HasSubstr("public-key"),
                                    Not(HasSubstr(secret_key)), Not(HasSubstr("ppp"))));
  }
  const auto half = read_key_pair(write("k", "public-key = \"" + public_key + "\"\n"));
  ASSERT_FALSE(half.ok());
  EXPECT_THAT(half.error(), HasSubstr("secret-key"));
}

TEST_F(KeyFile, WhatCannotBeReadIsNamed) {
  EXPECT_THAT(read_key_pair(path("none")).error(), HasSubstr(path("none")));
  EXPECT_THAT(read_public_key(path("none")).error(), HasSubstr(path("none")));
  EXPECT_FALSE(read_public_key(directory_).ok());
  EXPECT_FALSE(write_key_files(path("none"), "a", {public_key, secret_key}).ok());
}

TEST_F(KeyFile, APublicKeyIsGivenAsItselfOrAsAFile) {
  EXPECT_EQ(*public_key_of(public_key), public_key);
  EXPECT_EQ(*public_key_of(write("k", "public-key = \"" + public_key + "\"\n")), public_key);
  EXPECT_FALSE(public_key_of(public_key + "x").ok());
  EXPECT_FALSE(public_key_of("").ok());
}

TEST_F(KeyFile, AFileWhoseNameLooksLikeAKeyIsAFile) {
  const std::string like_a_key(access::key_characters, 'k');
  EXPECT_EQ(*public_key_of(like_a_key, path(like_a_key)), like_a_key);
  write(like_a_key, "public-key = \"" + public_key + "\"\n");
  EXPECT_EQ(*public_key_of(like_a_key, path(like_a_key)), public_key);
}

}  // namespace
}  // namespace canopy::keys
