// Users and passwords, and TLS.
#include <fstream>

#include "core/coordination/base64.h"
#include "tests/unit/core/coordination/etcd_world.h"

namespace canopy::coordination {
namespace {

using ::testing::HasSubstr;

class EtcdAuthTest : public EtcdTest {
 protected:
  void SetUp() override {
    EtcdTest::SetUp();
    if (IsSkipped()) return;
    ask("auth/user/add", R"({"name":"root","password":"r"})");
    ask("auth/user/grant", R"({"user":"root","role":"root"})");
    ask("auth/user/add", R"({"name":"canopy","password":"secret"})");
    ask("auth/role/add", R"({"name":"canopy"})");
    ask("auth/user/grant", R"({"user":"canopy","role":"canopy"})");
    ask("auth/role/grant", R"({"name":"canopy","perm":{"permType":"READWRITE","key":")" +
                               to_base64("canopy/test/") + R"(","range_end":")" +
                               to_base64("canopy/test0") + "\"}}");
    ask("auth/enable", "{}");
    settings_.user = "canopy";
    settings_.password_file = folder_ / "password";
    write_password("secret");
  }

  void write_password(const std::string& password) {
    std::ofstream(settings_.password_file) << password << '\n';
  }
  std::string refusal_of(Coordinator& coordinator) {
    EXPECT_TRUE(until([&] { return !coordinator.refusal().empty(); }));
    EXPECT_FALSE(coordinator.connected());
    return coordinator.refusal();
  }
};

TEST_F(EtcdAuthTest, AUserIsLetIn) {
  const auto a = client("a");
  a->announce("shards/a", "1");
  watch(*a);
  EXPECT_TRUE(until([&] { return a->connected() && seen_.size() == 1; }));
  EXPECT_EQ(a->refusal(), "");
}

TEST_F(EtcdAuthTest, ATokenThatIsNotKnownAnyMoreIsRenewed) {
  const auto a = client("a");
  watch(*a);
  a->announce("shards/a", "1");
  ASSERT_TRUE(until([&] { return seen_.size() == 1; }));
  server_->restart();  // which forgets them
  a->announce("shards/a", "2");
  EXPECT_TRUE(until([&] { return seen_["shards/a"] == "2"; }));
  EXPECT_TRUE(until([&] { return a->connected(); }));
  a->resign();
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
}

TEST_F(EtcdAuthTest, AWrongPasswordIsRefusedUntilItIsRight) {
  write_password("wrong");
  const auto a = client("a");
  EXPECT_EQ(refusal_of(*a), "etcd: authentication failed, invalid user ID or password");
  write_password("");
  EXPECT_TRUE(until([&] { return a->refusal() == "no password in " + settings_.password_file; }));
  write_password("secret");
  EXPECT_TRUE(until([&] { return a->connected(); }));
  EXPECT_EQ(a->refusal(), "");
}

TEST_F(EtcdAuthTest, NoUserAndNoPermissionAreRefused) {
  settings_.prefix = "elsewhere/";
  const auto a = client("a");
  EXPECT_EQ(refusal_of(*a), "etcd: permission denied");
  settings_.user.clear();
  const auto b = client("b");
  EXPECT_EQ(refusal_of(*b), "etcd: user name is empty");
}

TEST_F(EtcdTest, AUserOfAnEtcdWithoutUsersIsRefused) {
  settings_.user = "canopy";
  settings_.password_file = folder_ / "password";
  std::ofstream(settings_.password_file) << "secret";
  const auto a = client("a");
  EXPECT_TRUE(until([&] { return !a->refusal().empty(); }));
  EXPECT_EQ(a->refusal(), "etcd: authentication is not enabled");
}

class EtcdTlsTest : public EtcdTest {
 protected:
  void SetUp() override {
    if (!has_program("etcd")) GTEST_SKIP() << "no etcd on the PATH";
    if (!has_program("openssl")) GTEST_SKIP() << "no openssl on the PATH";
    make_authority("ca");
    make_authority("other");
    make_certificate("server");
    make_certificate("client");
    server_ = std::make_unique<EtcdServer>(
        folder_, "m0", "https",
        std::vector<std::string>{"--cert-file=" + folder_ / "server.pem",
                                 "--key-file=" + folder_ / "server.key",
                                 "--trusted-ca-file=" + folder_ / "ca.pem", "--client-cert-auth"});
    server_->start();
    settings_.endpoints = {server_->endpoint()};
    settings_.ca_file = folder_ / "ca.pem";
    settings_.cert_file = folder_ / "client.pem";
    settings_.key_file = folder_ / "client.key";
  }

  void openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    run(arguments, folder_ / "openssl.log");
  }
  void make_authority(const std::string& name) {
    openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-days", "2", "-subj", "/CN=" + name, "-keyout", folder_ / (name + ".key"), "-out",
             folder_ / (name + ".pem")});
  }
  void make_certificate(const std::string& name) {
    std::ofstream(folder_ / "extensions") << "subjectAltName=IP:127.0.0.1\n"
                                             "extendedKeyUsage=serverAuth,clientAuth\n";
    openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             "/CN=" + name, "-keyout", folder_ / (name + ".key"), "-out",
             folder_ / (name + ".csr")});
    openssl({"x509", "-req", "-in", folder_ / (name + ".csr"), "-CA", folder_ / "ca.pem", "-CAkey",
             folder_ / "ca.key", "-CAcreateserial", "-days", "2", "-extfile",
             folder_ / "extensions", "-out", folder_ / (name + ".pem")});
  }
};

TEST_F(EtcdTlsTest, BothSidesShowTheirCertificates) {
  const auto a = client("a");
  a->announce("shards/a", "1");
  watch(*a);
  EXPECT_TRUE(until([&] { return a->connected() && seen_.size() == 1; }));
  EXPECT_EQ(a->refusal(), "");
  a->resign();
  EXPECT_TRUE(until([&] { return seen_.empty(); }));
}

TEST_F(EtcdTlsTest, AnotherAuthorityIsNotTrusted) {
  settings_.ca_file = folder_ / "other.pem";
  const auto a = client("a");
  EXPECT_TRUE(until([&] { return !a->refusal().empty(); }));
  EXPECT_THAT(a->refusal(), HasSubstr("certificate"));
  settings_.ca_file = folder_ / "missing.pem";
  const auto b = client("b");
  EXPECT_TRUE(until([&] { return !b->refusal().empty(); }));
  EXPECT_THAT(b->refusal(), HasSubstr("missing.pem"));
}

TEST_F(EtcdTlsTest, AProcessWithoutACertificateIsNotLetIn) {
  settings_.cert_file.clear();
  settings_.key_file.clear();
  const auto a = client("a");
  EXPECT_TRUE(until([&] { return !a->refusal().empty(); }));
  EXPECT_THAT(a->refusal(), HasSubstr("certificate"));
  EXPECT_FALSE(a->connected());
}

}  // namespace
}  // namespace canopy::coordination
