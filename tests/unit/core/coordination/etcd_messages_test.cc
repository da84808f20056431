// The texts are those of an etcd 3.4.
#include "core/coordination/etcd_messages.h"

#include <gtest/gtest.h>

namespace canopy::coordination::etcd {
namespace {

#define HEADER R"("header":{"cluster_id":"121","member_id":"159","revision":"7","raft_term":"2"})"

TEST(EtcdMessages, RequestsAreAsTheGatewayTakesThem) {
  EXPECT_EQ(to_get("k"), R"({"key":"aw=="})");
  EXPECT_EQ(to_list("a/", "a/x", 9, 5),
            R"({"key":"YS94","limit":"5","range_end":"YTA=","revision":"9"})");
  EXPECT_EQ(to_list("a\xff", "a", 0, 5), R"({"key":"YQ==","limit":"5","range_end":"Yg=="})");
  EXPECT_EQ(to_list("", "a", 0, 5), R"({"key":"YQ==","limit":"5","range_end":"AA=="})");
  EXPECT_EQ(to_swap("k", "v", 3, 8),
            R"({"compare":[{"key":"aw==","mod_revision":"3","result":"EQUAL","target":"MOD"}],)"
            R"("failure":[{"request_range":{"key":"aw=="}}],)"
            R"("success":[{"request_put":{"key":"aw==","lease":"8","value":"dg=="}}]})");
  EXPECT_EQ(to_grant(std::chrono::seconds(3)), R"({"TTL":"3"})");
  EXPECT_EQ(to_lease(9041998934857218053U), R"({"ID":"9041998934857218053"})");
  EXPECT_EQ(to_watch("a/", 4),
            R"({"create_request":{"fragment":true,"key":"YS8=","progress_notify":true,)"
            R"("range_end":"YTA=","start_revision":"4"}})");
  EXPECT_EQ(to_authenticate("u\xff", "p\""), "{\"name\":\"u\xef\xbf\xbd\",\"password\":\"p\\\"\"}");
}

TEST(EtcdMessages, ListsAreRead) {
  const auto list = parse_list(
      "{" HEADER R"(,"kvs":[{"key":"aw==","create_revision":"2","mod_revision":"3","version":"1",)"
      R"("value":"AA==","lease":"904"},{"key":"bA==","mod_revision":4}],"more":true,"count":"9"})");
  ASSERT_TRUE(list) << list.error();
  EXPECT_EQ(list->revision, 7U);
  EXPECT_TRUE(list->more);
  const std::vector<KeyValue> expected{{"k", std::string(1, '\0'), 3, 904}, {"l", "", 4, 0}};
  EXPECT_EQ(list->found, expected);
}

TEST(EtcdMessages, SwapsAreRead) {
  const auto swapped = parse_swap(
      "{" HEADER
      R"(,"succeeded":true,"responses":[{"response_put":{"header":{"revision":"7"}}}]})");
  ASSERT_TRUE(swapped) << swapped.error();
  EXPECT_TRUE(swapped->swapped && !swapped->found);
  EXPECT_EQ(swapped->revision, 7U);
  const auto other =
      parse_swap("{" HEADER R"(,"responses":[{"response_range":{"header":{"revision":"7"},)"
                 R"("kvs":[{"key":"aw==","mod_revision":"2","value":"dg=="}],"count":"1"}}]})");
  ASSERT_TRUE(other) << other.error();
  EXPECT_FALSE(other->swapped);
  EXPECT_EQ(other->found, (KeyValue{"k", "v", 2, 0}));
  const auto absent =
      parse_swap("{" HEADER R"(,"responses":[{"response_range":{"header":{"revision":"7"}}}]})");
  ASSERT_TRUE(absent) << absent.error();
  EXPECT_TRUE(!absent->swapped && !absent->found);
}

TEST(EtcdMessages, LeasesAreRead) {
  const auto granted = parse_lease("{" HEADER R"(,"ID":"9041998934857218053","TTL":"2"})");
  ASSERT_TRUE(granted) << granted.error();
  EXPECT_EQ(granted->id, 9041998934857218053U);
  EXPECT_EQ(granted->ttl, std::chrono::seconds(2));
  const auto kept = parse_lease(R"({"result":{)" HEADER R"(,"ID":"904","TTL":"2"}})");
  ASSERT_TRUE(kept) << kept.error();
  EXPECT_EQ(kept->ttl, std::chrono::seconds(2));
  const auto gone = parse_lease(R"({"result":{)" HEADER R"(,"ID":"904"}})");
  ASSERT_TRUE(gone) << gone.error();
  EXPECT_EQ(gone->ttl.count(), 0);
  for (const char* text :
       {R"({"TTL":"2"})", R"({"ID":"-4","TTL":"2"})", R"({"ID":"4","TTL":"3601"})",
        R"({"ID":"4","TTL":"99999999999999999999"})", R"({"ID":"4x"})"}) {
    EXPECT_FALSE(parse_lease(text)) << text;
  }
}

TEST(EtcdMessages, WatchesAreRead) {
  const auto events =
      parse_watch(R"({"result":{)" HEADER
                  R"(,"events":[{"kv":{"key":"aw==","mod_revision":"6","value":"dg=="}},)"
                  R"({"type":"DELETE","kv":{"key":"aw==","mod_revision":"7"}}]}})");
  ASSERT_TRUE(events) << events.error();
  ASSERT_EQ(events->changes.size(), 2U);
  EXPECT_EQ(events->changes[0].of, (KeyValue{"k", "v", 6, 0}));
  EXPECT_FALSE(events->changes[0].deleted);
  EXPECT_EQ(events->changes[1].of, (KeyValue{"k", "", 7, 0}));
  EXPECT_TRUE(events->changes[1].deleted);

  const auto created = parse_watch(R"({"result":{)" HEADER R"(,"created":true}})");
  ASSERT_TRUE(created) << created.error();
  EXPECT_FALSE(created->canceled);
  const auto compacted =
      parse_watch(R"({"result":{)" HEADER R"(,"canceled":true,"compact_revision":"5"}})");
  ASSERT_TRUE(compacted) << compacted.error();
  EXPECT_TRUE(compacted->canceled && compacted->compacted);
  const auto failed = parse_watch(
      R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}})");
  ASSERT_TRUE(failed) << failed.error();
  EXPECT_TRUE(failed->canceled && !failed->compacted);
  EXPECT_EQ(failed->reason, "etcdserver: no leader");
}

TEST(EtcdMessages, FailuresAreOneLine) {
  const Failure failure =
      parse_failure(R"({"error":"etcdserver: requested lease\nnot found","message":"x","code":5})");
  EXPECT_EQ(failure.code, Code::not_found);
  EXPECT_EQ(failure.text, "requested lease\\x0anot found");
  EXPECT_EQ(parse_failure(R"({"error":"x","code":14})").code, Code::other);
  EXPECT_EQ(parse_failure("Not Found").text, "not the answer of an etcd");
  EXPECT_LE(parse_failure(R"({"error":")" + std::string(9999, 'x') + "\"}").text.size(), 300U);
}

TEST(EtcdMessages, WhatIsNoAnswerIsRefused) {
  for (const char* text :
       {"", "null", "[]", "{", "{}", R"({"header":[]})", R"({"header":{"revision":"x"}})",
        "{" HEADER R"(,"kvs":{}})", "{" HEADER R"(,"kvs":[1]})",
        "{" HEADER R"(,"kvs":[{"key":"?"}]})", "{" HEADER R"(,"kvs":[{"mod_revision":"-1"}]})",
        "{" HEADER R"(,"more":"yes"})"}) {
    EXPECT_FALSE(parse_list(text)) << text;
  }
  for (const char* text :
       {"", "{}", "{" HEADER R"(,"succeeded":1})", "{" HEADER R"(,"responses":[[]]})",
        "{" HEADER R"(,"responses":[{"response_range":[]}]})"}) {
    EXPECT_FALSE(parse_swap(text)) << text;
  }
  for (const char* text :
       {"", "{}", R"({"result":{}})", R"({"result":{)" HEADER R"(,"events":[{}]}})"}) {
    EXPECT_FALSE(parse_watch(text)) << text;
  }
  EXPECT_FALSE(parse_token("{}"));
  EXPECT_FALSE(parse_token(R"({"token":"a\r\nHost: b"})"));
  EXPECT_EQ(*parse_token(R"({"token":"abc.7"})"), "abc.7");
}

TEST(EtcdMessages, ValuesComeBack) {
  const Holder holder{"id", 7};
  EXPECT_EQ(*parse_holder(to_json(holder)), holder);
  const Generations generations{9, "record"};
  EXPECT_EQ(*parse_generations(to_json(generations)), generations);
  EXPECT_FALSE(parse_holder("x"));
  EXPECT_FALSE(parse_generations(R"({"last":4294967296,"record":"r"})"));
  EXPECT_FALSE(parse_generations(R"({"last":4})"));
}

}  // namespace
}  // namespace canopy::coordination::etcd
