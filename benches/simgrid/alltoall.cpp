// All-to-all among N GPUs, flow level, SimGrid S4U: the other side of run.sh.  usage: alltoall N pattern {full|star} [--cfg=...]
#include "sizes.hpp"
#include <chrono>
#include <cstdio>
#include <cstring>
#include <simgrid/s4u.hpp>
#include <sys/resource.h>
namespace sg4 = simgrid::s4u;
static double cpu() { struct rusage r; getrusage(RUSAGE_SELF, &r); return r.ru_utime.tv_sec + r.ru_stime.tv_sec + 1e-6 * (r.ru_utime.tv_usec + r.ru_stime.tv_usec); }
static double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
int main(int argc, char** argv)
{
  double t0 = now();
  sg4::Engine e(&argc, argv); // eats --cfg
  int N = atoi(argv[1]); std::string pat = argv[2]; std::string plat = argc > 3 ? argv[3] : "star";
  const double NVL_BW = 300e9, NVL_LAT = 1e-6, NIC_BW = 50e9, NIC_LAT = 5e-6;
  std::vector<sg4::Host*> g(N), n(N);   // g = endpoint for intra-node flows, n = endpoint for inter-node flows
  using LIR = sg4::LinkInRoute;
  if (plat == "full") {                 // one host per GPU, explicit N*(N-1) routes
    auto* z = sg4::create_full_zone("root");
    std::vector<sg4::Link*> nu(N), nd(N), iu(N), id(N);
    for (int i = 0; i < N; i++) {
      auto s = std::to_string(i);
      g[i] = n[i] = z->create_host("gpu" + s, 1e12)->seal();
      nu[i] = z->create_link("nvl_up" + s, NVL_BW)->set_latency(NVL_LAT)->seal();
      nd[i] = z->create_link("nvl_dn" + s, NVL_BW)->set_latency(NVL_LAT)->seal();
      iu[i] = z->create_link("nic_up" + s, NIC_BW)->set_latency(NIC_LAT)->seal();
      id[i] = z->create_link("nic_dn" + s, NIC_BW)->set_latency(NIC_LAT)->seal();
    }
    for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) if (i != j) {
      bool same = i / 8 == j / 8;
      z->add_route(g[i]->get_netpoint(), g[j]->get_netpoint(), nullptr, nullptr,
                   {LIR(same ? nu[i] : iu[i]), LIR(same ? nd[j] : id[j])}, false);
    }
    z->seal();
  } else {                              // O(N): two SimGrid hosts per GPU, one on each network
    auto* root = sg4::create_full_zone("root");
    auto* sp = sg4::create_star_zone("spine"); sp->set_parent(root);
    for (int i = 0; i < N; i++) {
      auto s = std::to_string(i);
      n[i] = sp->create_host("nic" + s, 1e12)->seal();
      auto* u = sp->create_link("nic_up" + s, NIC_BW)->set_latency(NIC_LAT)->seal();
      auto* d = sp->create_link("nic_dn" + s, NIC_BW)->set_latency(NIC_LAT)->seal();
      sp->add_route(n[i]->get_netpoint(), nullptr, nullptr, nullptr, {LIR(u)}, false);
      sp->add_route(nullptr, n[i]->get_netpoint(), nullptr, nullptr, {LIR(d)}, false);
    }
    sp->seal();
    for (int b = 0; b < N; b += 8) {
      auto* nz = sg4::create_star_zone("node" + std::to_string(b / 8)); nz->set_parent(root);
      for (int i = b; i < N && i < b + 8; i++) {
        auto s = std::to_string(i);
        g[i] = nz->create_host("gpu" + s, 1e12)->seal();
        auto* u = nz->create_link("nvl_up" + s, NVL_BW)->set_latency(NVL_LAT)->seal();
        auto* d = nz->create_link("nvl_dn" + s, NVL_BW)->set_latency(NVL_LAT)->seal();
        nz->add_route(g[i]->get_netpoint(), nullptr, nullptr, nullptr, {LIR(u)}, false);
        nz->add_route(nullptr, g[i]->get_netpoint(), nullptr, nullptr, {LIR(d)}, false);
      }
      nz->seal();
    }
    root->seal();
  }
  auto sz = make_sizes(pat, N);
  double total = 0, lower = 0;           // lower = bandwidth-only lower bound
  for (int i = 0; i < N; i++) { double si = 0, se = 0, ri = 0, re = 0;
    for (int j = 0; j < N; j++) { bool same = i / 8 == j / 8; double a = sz[(size_t)i*N+j], b = sz[(size_t)j*N+i]; total += a;
      if (same) { si += a; ri += b; } else { se += a; re += b; } }
    lower = std::max({lower, si/NVL_BW, ri/NVL_BW, se/NIC_BW, re/NIC_BW}); }
  double makespan = -1;
  sg4::Actor::create("driver", g[0], [&]() {
    std::vector<sg4::CommPtr> v; v.reserve((size_t)N * N);
    for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) if (i != j) {
      bool same = i / 8 == j / 8;
      v.push_back(sg4::Comm::sendto_async(same ? g[i] : n[i], same ? g[j] : n[j], sz[(size_t)i * N + j]));
    }
    for (auto& c : v) c->wait();
    makespan = sg4::Engine::get_clock();
  });
  double t1 = now(), c1 = cpu();
  e.run();
  double t2 = now(), c2 = cpu();
  struct rusage ru; getrusage(RUSAGE_SELF, &ru);
  printf("%d,%s,%s,%.0f,%.9f,%.9f,%.3f,%.3f,%.3f,%.1f\n", N, pat.c_str(), plat.c_str(), total, lower, makespan, c1, t2 - t1, c2 - c1, ru.ru_maxrss / 1024.0);
}
