"""Phrases of users, the assistant and services in made-up dialogues (`made.py`). Original text."""

from __future__ import annotations

OPENINGS = (
    "I'd like to {}", "I want to {}", "Can I {}?", "I need to {}", "Hi, I would like to {}", "Please help me {}",
    "Hello, could I {}?", "can you help me {}?", "Hey, I have to {}",
)  # fmt: skip
NEXT = (
    "I also want to {}", "And I need to {}", "Now I'd like to {}", "One more thing, can I {}?",
    "Then I want to {}", "Can I also {}?",
)  # fmt: skip
AGAIN = (
    "One more please",
    "And a second one",
    "I need another one",
    "Now another one",
    "The same again, but",
    "And one more:",
)
ASK = (
    "What is the {}?",
    "Which {}, please?",
    "Could you tell me the {}?",
    "What {} should I take?",
    "And the {}?",
    "Sure. What is the {}?",
)
ASK_TWO = (
    "What are the {} and the {}?",
    "Sure. Could you tell me the {} and the {}?",
    "I still need the {} and the {}.",
)
CHECK = (
    "So that is {}. Is that right?", "I have {}. Shall I go ahead?", "Please confirm: {}.",
    "Just to check: {}. Correct?", "To be sure: {}. Shall I do that?",
)  # fmt: skip
YES = (
    "Yes.",
    "yes please",
    "Yes, please.",
    "That's right.",
    "Correct",
    "yes, go ahead",
    "Yes, do it.",
    "ok",
    "Yes, that's right.",
    "Sure",
    "perfect, yes",
)
DONE = ("Done: {}.", "All set: {}.", "That's done. {}.", "Thank you, it worked: {}.", "It is done. {}.")
FOUND = ("Here it is: {}.", "I found this: {}.", "It says: {}.", "{}.")
THANKS = (
    "Thanks",
    "Thank you!",
    "Thank you, that's all.",
    "Great, thanks a lot",
    "Perfect.",
    "Okay, bye",
    "No, that was all.",
    "thanks, that is all",
)
BYE = (
    "You're welcome.",
    "Happy to help.",
    "My pleasure. Have a nice day!",
    "You're welcome. Goodbye!",
    "Gladly. Have a great day.",
)
STANDS = ("It is done already: {}.", "Yes, that is settled: {}.", "All is arranged: {}.")
CORRECTIONS = ("{}, no wait, {}", "{}, sorry, I mean {}", "{} ... no, {}", "{}, actually make that {}", "{} - no, {}")
LATER = (
    "Sorry, I meant {}.",
    "Oh, I have to correct that: {}.",
    "Actually {}, not {old}.",
    "Wait, {} instead of {old}.",
    "no, make that {}",
)
NOTED = (
    "All right, {}. Shall I go ahead?", "No problem, {}. Is all right now?", "Changed: {}. Shall I do it?",
)  # fmt: skip
KNOWN = ("The customer's {} is {}.", "The {} of the customer is {}.", "The user has the {} {}.", "{}: {}.")
REMIND = ("What was the {} again?", "and the {}?", "which {} is it?", "Tell me the {} again please")
REMINDED = ("The {} is {}.", "It is {1}.", "{1}.")
TAKE_BACK = (
    "Please cancel that again.", "Oh, I can't come. Cancel it please.", "cancel that", "Sorry, please take that back.",
)  # fmt: skip
SURE = ("Shall I cancel {}?", "So I should cancel {}?")
TAKEN_BACK = ("{} is cancelled.", "Done, {} is cancelled.", "I have cancelled {}.")
FAULTS = ("not available", "the {} is taken", "fully booked", "the {} is not possible", "nothing free")
SORRY = (
    "I'm sorry, that is not possible: {}. Which other {} would you like?",
    "Sorry, it says: {}. Another {}, perhaps?",
)
STATES = ("confirmed", "done", "ok", "booked", "success", "accepted", "created")
TOLD = {
    "status": ("shipped", "in transit", "being packed", "delivered", "delayed", "on its way", "received", "updated"),
    "sky": ("sunny", "cloudy", "rain", "snow", "windy"),
    "degrees": ("-3", "4", "12", "19", "27"),
    "amount": ("18.90", "240.00", "63.15", "1,120.50"),
    "due": ("soon", "in two weeks", "at the end of the month"),
    "arrives": ("tomorrow", "in three days", "on Friday", "in 40 minutes", "this week"),
    "driver": ("Kim", "Joao", "Petra", "Amadou"),
}
PERSONA = ("You work for {}.", "You are the assistant of {}.", "You help customers of {}.", "You answer for {}.")
SPARE_FACTS = (
    "We are open from 9 to 18.",
    "Be brief.",
    "Prices include tax.",
    "Never promise a discount.",
    "Parking is free.",
    "The office is in {}.",
)
