// A real etcd, as a child process of the test, on free ports.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace canopy::coordination {

inline bool has_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    if (::access((rest.substr(0, end) + "/" + name).c_str(), X_OK) == 0) return true;
    rest.erase(0, end + 1);
  }
  return false;
}

inline int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(fd);
  return ntohs(address.sin_port);
}

// Runs `arguments` with its output in `log`; the process ends with the test.
inline pid_t spawn(const std::vector<std::string>& arguments, const std::string& log) {
  std::vector<char*> pointers;
  for (const std::string& each : arguments) pointers.push_back(const_cast<char*>(each.c_str()));
  pointers.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  dup2(fd, 1);
  dup2(fd, 2);
  execvp(pointers[0], pointers.data());
  _exit(127);
}

inline void run(const std::vector<std::string>& arguments, const std::string& log) {
  int status = 0;
  waitpid(spawn(arguments, log), &status, 0);
  EXPECT_EQ(status, 0) << arguments[0] << " failed: see " << log;
}

// A folder that the destructor removes.
class Folder {
 public:
  Folder() {
    std::string name = testing::TempDir() + "etcd-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class EtcdServer {
 public:
  // `scheme`: of the clients' endpoint. `options`: further ones of etcd.
  EtcdServer(const Folder& folder, std::string name = "m0", std::string scheme = "http",
             std::vector<std::string> options = {})
      : name_(std::move(name)),
        data_(folder / name_),
        log_(folder / (name_ + ".log")),
        port_(free_port()),
        endpoint_(scheme + "://127.0.0.1:" + std::to_string(port_)),
        peer_("http://127.0.0.1:" + std::to_string(free_port())),
        cluster_(member()),
        options_(std::move(options)) {}
  ~EtcdServer() { stop(); }
  EtcdServer(const EtcdServer&) = delete;
  EtcdServer& operator=(const EtcdServer&) = delete;

  int port() const { return port_; }
  const std::string& endpoint() const { return endpoint_; }
  std::string member() const { return name_ + "=" + peer_; }
  // The members of a cluster, this one included.
  void set_cluster(std::string members) { cluster_ = std::move(members); }

  void start() {
    std::vector<std::string> arguments{"etcd",
                                       "--name=" + name_,
                                       "--data-dir=" + data_,
                                       "--listen-client-urls=" + endpoint_,
                                       "--advertise-client-urls=" + endpoint_,
                                       "--listen-peer-urls=" + peer_,
                                       "--initial-advertise-peer-urls=" + peer_,
                                       "--initial-cluster=" + cluster_,
                                       "--heartbeat-interval=50",  // leases of a second are granted
                                       "--election-timeout=500",
                                       "--logger=zap",
                                       "--log-level=error"};
    arguments.insert(arguments.end(), options_.begin(), options_.end());
    pid_ = spawn(arguments, log_);
  }
  void stop() {
    if (pid_ == 0) return;
    signal(SIGKILL);
    waitpid(std::exchange(pid_, 0), nullptr, 0);
  }
  void restart() {
    stop();
    start();
  }
  void lose_data() { std::filesystem::remove_all(data_); }
  void signal(int number) const { kill(pid_, number); }

 private:
  const std::string name_, data_, log_;
  const int port_;
  const std::string endpoint_, peer_;
  std::string cluster_;
  const std::vector<std::string> options_;
  pid_t pid_ = 0;
};

}  // namespace canopy::coordination
