// One case of cases.txt through SimGrid: prints when each flow ends, in seconds.
// usage: driver cases.txt CASE [--cfg=...]
// Every flow has two hosts of its own and a route over its links, of which the first is private:
// it carries the flow's ceiling and one microsecond of latency, the same for all flows, because
// SimGrid shares links in inverse proportion to latency.
#include <cstdio>
#include <fstream>
#include <simgrid/s4u.hpp>
#include <sstream>
namespace sg4 = simgrid::s4u;
struct Flow { double bytes, start, ceiling; std::vector<int> links; };
int main(int argc, char** argv)
{
  sg4::Engine e(&argc, argv); // takes the --cfg options out
  std::ifstream in(argv[1]);
  const std::string wanted = argv[2];
  std::vector<double> capacity;
  std::vector<Flow> flows;
  bool here = false;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string kind, number;
    words >> kind;
    if (kind == "case") { words >> number; here = number == wanted; }
    else if (here && kind == "capacity") for (double c; words >> c;) capacity.push_back(c);
    else if (here && kind == "flow") {
      Flow f;
      words >> f.bytes >> f.start >> f.ceiling;
      for (int l; words >> l;) f.links.push_back(l);
      flows.push_back(f);
    }
  }
  auto* zone = sg4::create_full_zone("root");
  std::vector<sg4::Link*> links;
  for (size_t l = 0; l < capacity.size(); l++)
    links.push_back(zone->create_link("l" + std::to_string(l), capacity[l])->set_latency(0)->seal());
  std::vector<sg4::Host*> from, to;
  for (size_t f = 0; f < flows.size(); f++) {
    auto n = std::to_string(f);
    from.push_back(zone->create_host("a" + n, 1e9)->seal());
    to.push_back(zone->create_host("b" + n, 1e9)->seal());
    double own = flows[f].ceiling > 0 ? flows[f].ceiling : 1e15;
    std::vector<sg4::LinkInRoute> route{sg4::LinkInRoute(zone->create_link("p" + n, own)->set_latency(1e-6)->seal())};
    for (int l : flows[f].links) route.emplace_back(links[l]);
    zone->add_route(from[f]->get_netpoint(), to[f]->get_netpoint(), nullptr, nullptr, route, false);
  }
  zone->seal();
  std::vector<double> end(flows.size());
  for (size_t f = 0; f < flows.size(); f++)
    sg4::Actor::create("f" + std::to_string(f), from[f], [&, f]() {
      sg4::this_actor::sleep_until(flows[f].start);
      sg4::Comm::sendto(from[f], to[f], static_cast<uint64_t>(flows[f].bytes));
      end[f] = sg4::Engine::get_clock();
    });
  e.run();
  printf("case %s", wanted.c_str());
  for (double t : end) printf(" %.12g", t);
  printf("\n");
}
