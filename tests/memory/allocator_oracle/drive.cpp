// Runs torch's own caching allocator through a script on stdin and prints what it did.
//
// a ID BYTES STREAM allocates, f ID frees, e empties the cache, s prints the statistics, g the segments,
// h N begins a history of N entries, t prints it. Lines: A address | O message | S counts | G segment | T entry.
// Built with the headers of one torch, run with the libraries of several; the structures behind s, g and t are
// only those of the headers.
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/PeerToPeerAccess.h>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>

namespace A = c10::cuda::CUDACachingAllocator;

static void print_stats() {
  auto s = A::getDeviceStats(0);
  for (const auto& amount : {s.allocated_bytes, s.requested_bytes, s.reserved_bytes, s.active_bytes, s.inactive_split_bytes})
    printf(" %ld %ld", (long)amount[0].current, (long)amount[0].peak);
  printf(" %ld %ld %ld %ld\n", (long)s.segment[0].current, (long)s.num_alloc_retries, (long)s.num_ooms, (long)s.num_oom_rejections);
}

static void print_segments(const A::SnapshotInfo& snapshot) {
  for (const auto& s : snapshot.segments) {
    printf("G %zu %zu %zu %d %d", s.address, s.total_size, (size_t)s.stream, (int)s.is_large, (int)s.is_expandable);
    for (const auto& b : s.blocks) printf(" %zu:%zu:%d", b.size, b.requested_size, b.allocated ? 2 : b.active ? 1 : 0);
    printf("\n");
  }
}

static void print_trace(const A::SnapshotInfo& snapshot) {
  for (const auto& e : snapshot.device_traces.at(0))
    printf("T %d %zu %zu %zu\n", (int)e.action_, e.addr_, e.size_, (size_t)e.stream_);
}

static void allocate(std::map<long, void*>& live) {
  long id;
  size_t size, stream;
  std::cin >> id >> size >> stream;
  try {
    live[id] = A::raw_alloc_with_stream(size, (cudaStream_t)stream);
    printf("A %zu\n", (size_t)live[id]);
  } catch (const c10::Error& error) {
    printf("O %s\n", error.what_without_backtrace());
  }
}

int main() {
  c10::cuda::detail::init_p2p_access_cache(1);
  A::init(1);
  std::map<long, void*> live;
  std::string op;
  while (std::cin >> op) {
    long number;
    if (op == "a") allocate(live);
    else if (op == "f" && std::cin >> number) {
      if (live.count(number)) A::raw_delete(live[number]);
      live.erase(number);
    } else if (op == "e") A::emptyCache();
    else if (op == "s") printf("S"), print_stats();
    else if (op == "g") print_segments(A::snapshot());
    else if (op == "h" && std::cin >> number) A::recordHistory(true, nullptr, number, A::RecordContext::NEVER, false, {});
    else if (op == "t") print_trace(A::snapshot());
  }
  fflush(stdout);
  _Exit(0);
}
