// The fan-out of libzmq: XSUB to XPUB through zmq_proxy, with its defaults.
//
// Prints {"publish": PORT, "subscribe": PORT}; runs until it is killed.
#include <zmq.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

void* open(void* context, int type, std::string_view& port, std::array<char, 64>& endpoint) {
  void* socket = zmq_socket(context, type);
  std::size_t size = endpoint.size();
  if (socket == nullptr || zmq_bind(socket, "tcp://127.0.0.1:*") != 0 ||
      zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint.data(), &size) != 0) {
    std::fprintf(stderr, "bench-zmq-proxy: %s\n", zmq_strerror(zmq_errno()));
    std::exit(1);
  }
  port = endpoint.data();
  port.remove_prefix(port.rfind(':') + 1);
  return socket;
}

}  // namespace

int main() {
  void* context = zmq_ctx_new();
  std::array<char, 64> publish{}, subscribe{};
  std::string_view publish_port, subscribe_port;
  void* in = open(context, ZMQ_XSUB, publish_port, publish);
  void* out = open(context, ZMQ_XPUB, subscribe_port, subscribe);
  std::printf("{\"publish\": %s, \"subscribe\": %s}\n", publish_port.data(), subscribe_port.data());
  std::fflush(stdout);
  return zmq_proxy(in, out, nullptr) == 0 ? 0 : 1;
}
