"""python3 -m unittest test_judgement"""

import unittest

from judgement import disagreement, unmet_bars

STEP = {"kind": "train_step"}
OP = {"kind": "op", "dtype": "float32"}


class Agreement(unittest.TestCase):
    def test_losses_agree_to_1e_4(self):
        self.assertIsNone(disagreement([2.0, 1.0], [2.0001, 1.00009], STEP))
        self.assertIn("number 1", disagreement([2.0, 1.0], [2.0, 1.00011], STEP))

    def test_what_is_missing_or_not_finite_is_a_difference(self):
        self.assertIn("2 numbers and 1", disagreement([2.0, 1.0], [2.0], STEP))
        self.assertIn("not finite", disagreement([2.0], [None], STEP))
        self.assertIn("number 0", disagreement([2.0], [float("nan")], STEP))

    def test_elements_count_relative_to_the_outputs_magnitude(self):
        ours = [0.0, 1.0, 1e-7, 0, 0, 0, 0, 0, 0]  # mean, mean magnitude, seven elements
        theirs = [0.0, 1.0, -1e-7, 0, 0, 0, 0, 0, 0]
        self.assertIsNone(disagreement(ours, theirs, OP))
        theirs[2] = 2e-4
        self.assertIn("number 2", disagreement(ours, theirs, OP))

    def test_dtypes_and_workloads_have_tolerances(self):
        self.assertIsNotNone(disagreement([1.0], [1.0 + 1e-8], {"kind": "op", "dtype": "float64"}))
        self.assertIsNone(disagreement([1.0], [1.04], {**STEP, "tolerance": 0.05}))


def row(ours, peers, floor=None, low=None, **more):
    ratios = {peer: {"ratio": time / ours, "low": low or time / ours} for peer, time in peers.items()}
    best = min(ratios, key=lambda peer: ratios[peer]["ratio"], default=None)
    return {"times": {"ours": ours, **peers}, "ratios": ratios, "best": best, "floor": floor, **more}


class Bars(unittest.TestCase):
    def test_a_ratio_is_reached_or_not(self):
        self.assertEqual(unmet_bars(row(1.0, {"torch": 3.0}), {"torch": 3}), [])
        self.assertEqual(unmet_bars(row(1.0, {"torch": 2.9}), {"torch": 3}), ["torch 3"])

    def test_ahead_means_the_whole_interval(self):
        self.assertEqual(unmet_bars(row(1.0, {"jax": 1.1}, low=0.99), {"best": 1}), ["best 1"])
        self.assertEqual(unmet_bars(row(1.0, {"jax": 1.1}, low=1.01), {"best": 1}), [])

    def test_the_best_peer_counts(self):
        self.assertEqual(unmet_bars(row(1.0, {"torch": 9.0, "jax": 1.2}), {"best": 1.5}), ["best 1.5"])

    def test_a_peer_near_the_floor_can_hardly_be_beaten(self):
        self.assertEqual(unmet_bars(row(1.0, {"torch": 0.98}, floor=0.9), {"torch": 1}), [])
        self.assertEqual(unmet_bars(row(1.2, {"torch": 0.98}, floor=0.9), {"torch": 1}), ["torch 1"])
        self.assertEqual(unmet_bars(row(1.0, {"torch": 0.98}, floor=0.5), {"torch": 1}), ["torch 1"])

    def test_floor_peak_and_overhead(self):
        bad = row(1.31, {}, floor=1.0, share_of_peak=0.89, overhead=1.11)
        bar = {"floor": 1.3, "peak": 0.9, "overhead": 1.1}
        self.assertEqual(unmet_bars(bad, bar), ["floor 1.3", "peak 0.9", "overhead 1.1"])
        self.assertEqual(unmet_bars(row(1.3, {}, floor=1.0, share_of_peak=0.9, overhead=1.1), bar), [])

    def test_the_floor_in_place_of_a_peer(self):
        bar = {"best": 1, "or_floor": 1.25}
        self.assertEqual(unmet_bars(row(1.22, {"jax": 0.6}, floor=1.0), bar), [])
        self.assertEqual(unmet_bars(row(1.3, {"jax": 0.6}, floor=1.0), bar), ["best 1"])

    def test_an_absent_peer_reaches_nothing(self):
        self.assertEqual(unmet_bars(row(1.0, {"jax": 9.0}), {"torch": 3}), ["torch 3"])
        self.assertEqual(unmet_bars(row(1.0, {}), {"torch": 3}), [])


if __name__ == "__main__":
    unittest.main()
