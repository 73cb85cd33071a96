#!/usr/bin/env python3
"""Writes cases.txt: random sharing problems of four shapes. Deterministic; run without arguments.

Each case is a line `case NUMBER SHAPE`, a line `capacity` with bytes/s of every link, and a line
`flow BYTES START_S CEILING LINK LINK ...` for each flow (a ceiling of 0 is none).
"""
import random

CASES = 240
random.seed(20260101)


def size():
    return random.choice([random.randint(10**6, 10**8), 2**24, 2**25, random.randint(10**7, 3 * 10**7)])


def start(staggered):
    return round(random.uniform(0, 2), 3) if staggered else 0.0


def ceiling():
    return random.choice([0, 0, 0, random.randint(10**6, 2 * 10**7)])


def star(n, staggered):
    """Every host has a port out and a port in; any pairs."""
    capacity = [random.choice([5e7, 1e8]) for _ in range(2 * n)]
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j and random.random() < 0.8]
    return capacity, [(size(), start(staggered), 0, [i, n + j]) for i, j in pairs]


def two_level(n, staggered):
    """Hosts under two or three switches with uplinks that may bind."""
    racks = random.choice([2, 3])
    over = random.choice([1, 2, 4])
    capacity = [1e8] * (2 * n) + [1e8 * n / racks / over] * (2 * racks)
    flows = []
    for i in range(n):
        for j in range(n):
            if i == j or random.random() < 0.3:
                continue
            a, b = i % racks, j % racks
            up = [2 * n + a, 2 * n + racks + b] if a != b else []
            flows.append((size(), start(staggered), 0, [i] + up + [n + j]))
    return capacity, flows


def tangled(n, staggered):
    """Any links in any number, with ceilings."""
    capacity = [random.randint(10**7, 2 * 10**8) for _ in range(n)]
    flows = []
    for _ in range(random.randint(3, 40)):
        links = random.sample(range(n), random.randint(1, min(4, n)))
        flows.append((size(), start(staggered), ceiling(), links))
    return capacity, flows


with open("cases.txt", "w") as out:
    for case in range(CASES):
        shape = ["star", "two-level", "tangled"][case % 3]
        staggered = case % 2 == 1
        n = random.randint(3, 9)
        capacity, flows = {"star": star, "two-level": two_level, "tangled": tangled}[shape](n, staggered)
        if not flows:
            flows = [(size(), 0.0, 0, [0])]
        print("case", case, shape + ("-staggered" if staggered else ""), file=out)
        print("capacity", *(f"{c:.0f}" for c in capacity), file=out)
        for b, s, u, links in flows:
            print("flow", b, s, u, *links, file=out)
