#include "shard/replies.h"

#include <gtest/gtest.h>

#include "core/base/limits.h"

namespace canopy::shard {
namespace {

using wire::Fault;

TEST(Replies, AreOneMessageForEachProxyInTheOrderOfItsAnswers) {
  Replies replies;
  for (std::uint64_t number = 1; number <= 6; ++number) {
    replies.add({.proxy = 2 - number % 2, .answer = {.reply_to = "client", .number = number}});
  }
  const auto messages = replies.take_messages();
  ASSERT_EQ(messages.size(), 2u);
  for (const auto& message : messages) {
    std::uint64_t number = message.proxy == 2 ? 2 : 1;
    ASSERT_EQ(message.answers.answers.size(), 3u);
    for (const wire::Answer& answer : message.answers.answers) {
      EXPECT_EQ(answer.number, number);
      number += 2;
    }
  }
  EXPECT_TRUE(replies.take_messages().empty());
}

TEST(Replies, WithoutAReceiverAreDropped) {
  Replies replies;
  replies.add({.proxy = 1, .answer = {.number = 1}});
  EXPECT_TRUE(replies.take_messages().empty());
}

TEST(Replies, StayWithinTheBoundsOfAMessage) {
  Replies replies;
  const std::size_t count = 3 * wire::max_message_updates;
  const std::string reply_to(20, 'r');
  for (std::size_t number = 1; number <= count; ++number) {
    replies.add({.proxy = 1, .answer = {.reply_to = reply_to, .number = number}});
  }
  std::uint64_t expected = 0;
  const auto messages = replies.take_messages();
  for (const auto& message : messages) {
    EXPECT_LE(wire::encode(message.answers).size(), base::max_chunk_bytes);
    EXPECT_LE(message.answers.answers.size(), wire::max_message_updates);
    EXPECT_TRUE(wire::decode_from_shard(wire::encode(message.answers)));
    for (const wire::Answer& answer : message.answers.answers) {
      ASSERT_EQ(answer.number, ++expected);
    }
  }
  EXPECT_EQ(expected, count);
  EXPECT_LT(messages.size(), 16u);
}

TEST(Replies, HaveAReadableErrorText) {
  wire::RoutedRequest routed{.reply_to = "client", .request = {.number = 4}};
  const Reply reply = Reply::to(7, routed, {Fault::revision_mismatch, keyspace::Revision(9)});
  EXPECT_EQ(reply.proxy, 7u);
  EXPECT_EQ(reply.answer.reply_to, "client");
  EXPECT_EQ(reply.answer.number, 4u);
  EXPECT_EQ(reply.answer.fault, Fault::revision_mismatch);
  EXPECT_EQ(reply.answer.revision, keyspace::Revision(9));
  EXPECT_NE(reply.answer.text, "");
}

}  // namespace
}  // namespace canopy::shard
