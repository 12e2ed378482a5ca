"""Pictures that an account may still make: what each calendar month (UTC) gives, and packs that it bought."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date


@dataclass(frozen=True, slots=True)
class Credits:
    """What stands in the books for one account.

    `month` is the first day of the month that was last counted in, `granted` what that month gave, `used` what was
    used in it, and `packs` what was left of bought ones when it began. The month's own are used first.
    """

    month: date = date.min
    granted: int = 0
    used: int = 0
    packs: int = 0

    @property
    def left(self) -> int:
        """Pictures that may still be made."""
        return max(0, self.granted + self.packs - self.used)

    def at(self, month: date, allowance: int) -> Credits:
        """The same in `month`, which gives `allowance`; what an older month left over ends, packs stay.

        A clock that was set back turns no month; within one, a lower allowance takes nothing away.
        """
        if month <= self.month:
            return replace(self, granted=max(self.granted, allowance))
        bought = self.packs - max(0, self.used - self.granted)
        return Credits(month, allowance, 0, max(0, bought))

    def take(self, pictures: int) -> Credits | None:
        """The state after `pictures` were taken; None where there are not that many."""
        return replace(self, used=self.used + pictures) if pictures <= self.left else None

    def give_back(self, pictures: int, month: date) -> Credits:
        """The state after `pictures` that were taken in `month` came to nothing.

        Where the month has turned since, they count as bought: nobody loses by our failure.
        """
        if month < self.month:
            return self.add(pictures)
        return replace(self, used=max(0, self.used - pictures))

    def add(self, pictures: int) -> Credits:
        """The state after a pack was bought."""
        return replace(self, packs=self.packs + pictures)
