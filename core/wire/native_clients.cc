// The list of a proxy's connections: encoding and decoding.
#include "core/base/limits.h"
#include "core/wire/native_message.h"
#include "core/wire/pack.h"

namespace canopy::wire::native {
namespace {

constexpr std::uint32_t client_fields = 9;

void pack_client(Packer& packer, const ClientInfo& client) {
  packer.array(client_fields);
  packer.number(client.connection);
  packer.text(client.peer);
  packer.text(client.name);
  packer.text(client.protocol);
  packer.array(client.subscriptions.size());
  for (const std::string& subscription : client.subscriptions) packer.text(subscription);
  packer.number(client.queued_bytes);
  packer.number(client.missed);
  packer.number(client.catch_ups);
  packer.number(client.age_ms);
}

ClientInfo read_client(Reader& in) {
  in.array_of("client", client_fields);
  ClientInfo client{.connection = in.number("connection")};
  client.peer = in.text("peer");
  client.name = in.text("name");
  client.protocol = in.text("protocol");
  const std::uint32_t count = in.array("subscriptions", max_shown_subscriptions + 1);
  for (std::uint32_t i = 0; i < count; ++i) {
    client.subscriptions.emplace_back(in.text("subscription"));
  }
  client.queued_bytes = in.number("queued");
  client.missed = in.number("missed");
  client.catch_ups = in.number("catch_ups");
  client.age_ms = in.number("age");
  return client;
}

}  // namespace

std::vector<std::string> encode_clients(std::uint64_t request,
                                        const std::vector<ClientInfo>& clients) {
  std::vector<std::string> frames;
  std::size_t next = 0;
  do {
    std::string packed;
    Packer body(packed);
    std::uint32_t count = 0;
    for (; next < clients.size() && packed.size() < base::max_chunk_bytes; ++next, ++count) {
      pack_client(body, clients[next]);
    }
    std::string frame(1, static_cast<char>(version));
    Packer packer(frame);
    packer.array(4);
    packer.number(static_cast<std::uint64_t>(Kind::client_list));
    packer.number(request);
    packer.number(next < clients.size() ? 1 : 0);
    packer.array(count);
    frames.push_back(frame + packed);
  } while (next < clients.size());
  return frames;
}

ClientList read_client_list(Message& message) {
  message.wants("client_list", 3);
  Reader& in = message.in;
  ClientList list{.request = in.number("request")};
  list.more = in.number("more", 0, 1) == 1;
  const std::uint32_t count = in.array("clients", max_entries);
  for (std::uint32_t i = 0; i < count; ++i) list.clients.push_back(read_client(in));
  in.end("client_list");
  return list;
}

}  // namespace canopy::wire::native
