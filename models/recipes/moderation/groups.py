"""Sentences about groups of people, harmless and hateful, so that a group's name alone says neither.

In the annotated data the names of groups stand mostly in insults, and a model learns the names. Here the same names
stand in both kinds (after Dixon et al., "Measuring and Mitigating Unintended Bias in Text Classification", 2018).
Training and test share no sentence, and fewer than half of the groups of the test. Original text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Literal

Part = Literal["train", "test"]
SEED = 41

# The plural, and one of them.
_GROUPS: dict[Part, tuple[tuple[str, str], ...]] = {
    "train": (
        ("Muslims", "a Muslim"), ("Jews", "a Jew"), ("Jewish people", "Jewish"), ("Christians", "a Christian"),
        ("Hindus", "a Hindu"), ("atheists", "an atheist"), ("Black people", "Black"), ("white people", "white"),
        ("Asian people", "Asian"), ("Arabs", "an Arab"), ("Mexicans", "Mexican"), ("Africans", "African"),
        ("Latinos", "Latino"), ("Indians", "Indian"), ("Chinese people", "Chinese"), ("Turks", "Turkish"),
        ("Poles", "Polish"), ("Americans", "American"), ("immigrants", "an immigrant"), ("refugees", "a refugee"),
        ("women", "a woman"), ("men", "a man"), ("girls", "a girl"), ("gay people", "gay"), ("lesbians", "a lesbian"),
        ("trans people", "trans"), ("transgender women", "a transgender woman"), ("disabled people", "disabled"),
        ("blind people", "blind"), ("autistic people", "autistic"), ("old people", "old"), ("feminists", "a feminist"),
        ("foreigners", "a foreigner"), ("African Americans", "African American"), ("gays", "gay"),
        ("homosexuals", "homosexual"), ("Asians", "Asian"), ("Blacks", "black"), ("whites", "white"),
    ),
    "test": (
        ("Muslims", "a Muslim"), ("Black people", "Black"), ("Jewish people", "Jewish"), ("women", "a woman"),
        ("gay people", "gay"), ("Buddhists", "a Buddhist"), ("Romanians", "Romanian"), ("queer people", "queer"),
        ("asylum seekers", "an asylum seeker"), ("deaf people", "deaf"),
        ("Native Americans", "Native American"), ("Koreans", "Korean"),
    ),
}  # fmt: skip
_HARMLESS: dict[Part, tuple[str, ...]] = {
    "train": (
        "I am {one}.",
        "I'm {one} and I live in London.",
        "My best friend is {one}.",
        "My wife is {one} and so am I.",
        "My teacher was {one}.",
        "Our new neighbour is {one}, a very kind person.",
        "She told me that she is {one}.",
        "I am proud to be {one}.",
        "As someone who is {one}, I found the film moving.",
        "Being {one} is not always easy.",
        "Is the new mayor {one}?",
        "He wrote a book about growing up {one}.",
        "Hello, I'm {one}, nice to meet you!",
        "The author, who is {one}, was born in 1972.",
        "She married somebody who is {one}.",
        "Many {many} live in our city.",
        "There are not many {many} in our village.",
        "{Many} came to the festival.",
        "{Many} have the same rights as everybody else.",
        "We interviewed twenty {many} about their work.",
        "The museum shows the history of {many}.",
        "{Many} voted in large numbers this year.",
        "I love working with {many}.",
        "How do {many} celebrate the new year?",
        "What do {many} think about the law?",
        "The survey asked {many} and others how they travel.",
        "A new law protects {many} from discrimination.",
        "{Many} are often treated unfairly at work.",
        "The police must protect {many} as well.",
        "The film tells the story of three {many} in the 1950s.",
        "Violence against {many} has to stop.",
        "It hurts to see how {many} are spoken of online.",
        "We should listen to {many} more.",
        "Most {many} I know are friendly and hard-working.",
        "{Many} and their families are welcome here.",
        "The club was founded by {many}.",
        "The study found no difference between {many} and others.",
        "Please stop insulting {many}.",
        "Some people hate {many}, and that is wrong.",
        "Nobody should be attacked for being {one}.",
        "Who says that {many} can't be engineers?",
        "{Many} served in both world wars.",
        "My grandparents were {many}.",
        "The shop is run by {many}.",
        "Doctors should know more about the health of {many}.",
        "I grew up among {many}.",
        "The party wants more seats in parliament for {many}.",
        "Why are {many} paid less in this company?",
        "{Many} deserve respect.",
        "{Many} deserve better schools and hospitals.",
        "Everybody, {many} too, deserves a fair trial.",
        "{Many} should earn as much as others do.",
        "{Many} should be allowed to live as they like.",
        "Equal rights for {many}!",
        "I don't hate {many}, why would I?",
        "{Many} are not animals, they are human beings.",
        "Whoever says that {many} are stupid has never met any.",
        "We want more {many} in our team.",
        "Nobody should be allowed to throw {many} out of the country.",
        "Thank God for {many} like her.",
    ),
    "test": (
        "{Many} deserve equal pay.",
        "My doctor is {one}.",
        "I am {one} and I love this town.",
        "The concert was organised by {many}.",
        "A monument for {many} was opened on Friday.",
        "It is a good thing that {many} can marry whom they like.",
        "Are {many} allowed to vote there?",
        "Crimes against {many} rose by three percent.",
        "I read a novel about {many} in the twenties.",
        "{Many} are people like you and me.",
        "My son came home and told us that he is {one}.",
    ),
}
_HATEFUL: dict[Part, tuple[str, ...]] = {
    "train": (
        "I hate {many}.",
        "I can't stand {many}.",
        "{Many} are disgusting.",
        "{Many} are animals.",
        "All {many} are stupid.",
        "{Many} are criminals, all of them.",
        "{Many} should be thrown out of the country.",
        "We don't want {many} here.",
        "{Many} are ruining everything.",
        "{Many} don't deserve rights.",
        "Get rid of all {many}.",
        "{Many} are inferior.",
        "Never trust {many}, they all lie.",
        "The world would be better without {many}.",
        "{Many} make me sick.",
        "{Many} are a disease.",
        "Nobody wants {many} around.",
        "{Many} belong in a zoo.",
        "Shut up, {many} have no say here.",
        "You are {one}, so you are worthless.",
        "I would never let somebody who is {one} into my house.",
        "{Many} are lazy parasites.",
        "{Many} should be locked up.",
        "I wish all {many} would die.",
        "{Many} deserve to suffer.",
        "{Many} deserve nothing but contempt.",
        "{Many} should not be allowed to live here.",
        "No rights for {many}!",
    ),
    "test": (
        "{Many} are vermin.",
        "Kick {many} out.",
        "I loathe every one of those {many}.",
        "{Many} are too dumb to vote.",
        "{Many} are trash and always will be.",
        "Someone should wipe out {many}.",
        "God hates {many}.",
    ),
}


def about_groups(part: Part) -> Iterator[tuple[str, bool]]:
    """Every sentence of a part about every group of it, and whether it is hateful, in a fixed random order."""
    sentences = [(text, False) for text in _HARMLESS[part]] + [(text, True) for text in _HATEFUL[part]]
    made = [
        (text.format(many=many, Many=many[0].upper() + many[1:], one=one), hateful)
        for (text, hateful), (many, one) in product(sentences, _GROUPS[part])
    ]
    random.Random(f"{SEED} {part}").shuffle(made)
    yield from made
