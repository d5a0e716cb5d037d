"""Texts whose perplexity is measured on real weights: prose, a story and code that no model can know by heart."""

PROSE = """Bread rises because yeast feeds on the sugars in flour and gives off carbon dioxide. The gas collects in \
small bubbles that the dough holds in place, much as a net holds air when it is wet. What makes the net is gluten, a \
protein that forms long elastic strands once flour and water are mixed and worked by hand. A dough that has been \
kneaded for ten minutes can be stretched until light shines through it; one that was hardly touched tears at once.

Temperature decides how fast all this goes. At 25 degrees a dough doubles in about an hour and a half. In a cold \
kitchen the same dough may need three hours, and in a refrigerator it takes a whole night. Slow dough tastes better, \
since bacteria have time to make acids beside the work of the yeast. For that reason many bakers mix their dough in \
the evening, leave it at a low temperature, and bake it the next morning.

The oven finishes what the yeast began. In the first minutes the gas expands and the loaf grows by a third, which \
bakers call oven spring. Then the outside reaches 60 degrees and the yeast dies, the starch swells and sets, and the \
crust begins to brown. Steam in the oven keeps the surface soft for a while, so that it can stretch before it hardens. \
A loaf is done when it sounds hollow if one knocks on its underside, or when its inside has reached 96 degrees. It \
should then cool on a rack for at least an hour, because the crumb is still setting while it is warm, and a knife \
would press it together.
"""

STORY = """Nora had never seen the sea. Her grandmother talked about it every evening, how it was green in the morning \
and grey before a storm, and how it never stopped moving, not even at night. So when her uncle said that he would \
drive to the coast on Saturday, she asked whether she could come, and she asked again at breakfast, and again at \
supper, until he laughed and said yes.

They left while it was still dark. Nora sat in the back with a blanket and a bag of apples, and she tried to stay \
awake, but the road was long and the car was warm. When she opened her eyes the sun was up and the window was wet with \
salt. "Look," said her uncle, and pointed.

At first she thought it was a field, a huge flat field with no trees. Then it moved. It came towards the sand in long \
white lines, and each line fell over with a noise like a cupboard full of pots. Nora held on to her uncle's hand. \
"Does it ever come all the way up here?" she asked. "Not today," he said.

She took off her shoes. The sand was cold, and the water was colder. When the first wave reached her feet she \
screamed, and when it ran back it pulled the sand away from under her heels, as if it wanted her to come along. She \
found a shell with a hole in it, and a piece of blue glass that was smooth on every side. She put both into her pocket \
for her grandmother.

On the way home she did not sleep. She held the shell to her ear, and although her uncle said that it was only the \
sound of her own blood, she knew better. It was green in the morning, she would say, and it never stopped moving, and \
it had tried to take her with it.
"""

CODE = '''import csv
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Item:
    """One kind of thing on a shelf."""

    name: str
    price: float
    count: int = 0

    @property
    def value(self) -> float:
        return self.price * self.count


@dataclass
class Shop:
    """Items by name, and what was sold so far."""

    items: dict[str, Item] = field(default_factory=dict)
    sold: float = 0.0

    def add(self, name: str, price: float, count: int) -> None:
        if price < 0 or count < 0:
            raise ValueError("price and count must not be negative")
        if name in self.items:
            self.items[name].count += count
        else:
            self.items[name] = Item(name, price, count)

    def sell(self, name: str, count: int = 1) -> float:
        item = self.items.get(name)
        if item is None:
            raise KeyError(f"there is no item named {name}")
        if item.count < count:
            raise ValueError(f"only {item.count} of {name} are left")
        item.count -= count
        self.sold += item.price * count
        return item.price * count

    def total(self) -> float:
        return sum(item.value for item in self.items.values())


def load(path: Path) -> Shop:
    """Read a shop from a file with the columns name, price and count."""
    shop = Shop()
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            shop.add(row["name"], float(row["price"]), int(row["count"]))
    return shop


def save(shop: Shop, path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=["name", "price", "count"])
        writer.writeheader()
        for item in shop.items.values():
            writer.writerow({"name": item.name, "price": item.price, "count": item.count})


if __name__ == "__main__":
    shop = load(Path("shop.csv"))
    shop.sell("apple", 3)
    print(f"{len(shop.items)} items worth {shop.total():.2f}")
    save(shop, Path("shop.csv"))
'''

TEXTS = {"prose": PROSE, "story": STORY, "code": CODE}
