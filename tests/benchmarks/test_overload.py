"""What is told of a flood."""

from benchmarks import overload


def told(found):
    return overload._flood(found, (5, 10.0, 12.0), overload.CALM_S, 100.0, 50.0)


def test_goodput_counts_answers_while_the_flood_lasted_whenever_they_were_due():
    early, within, late = (9.95, 100.0, 200), (10.5, 20.0, 200), (11.99, 100.0, 200)
    flood = told([early, within, late])
    assert flood["goodput"] == 2 / 2.0 / 100.0
    assert flood["offered"] == 2


def test_normal_is_when_the_last_slow_or_refused_request_was_due():
    good, slow, no = (12.1, 20.0, 200), (12.5, 51.0, 200), (13.25, 1.0, 503)
    assert told([good])["normal_s"] == 0
    assert told([good, slow])["normal_s"] == 0.5
    assert told([good, slow, no])["normal_s"] == 1.25


def test_a_lost_connection_is_neither_answer_nor_refusal_and_breaks_the_bar():
    flood = told([(10.5, 5.0, 0), (10.6, 2.0, 503), (10.7, 20.0, 200)])
    assert (flood["lost"], flood["rejects"]) == (1, 1)
    assert not overload.holds({**flood, "goodput": 1.0})
    assert overload.holds({**flood, "goodput": 1.0, "lost": 0})


def test_of_several_rounds_each_flood_is_told_by_its_medians_and_all_that_was_lost():
    floods = [{"times": 5, "goodput": g, "lost": n} for g, n in ((0.7, 1), (0.9, 0), (0.8, 2))]
    (told,) = overload.middle([{"floods": [flood]} for flood in floods])
    assert told == {"times": 5, "goodput": 0.8, "lost": 3}
