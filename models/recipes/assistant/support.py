"""First answers to customer-service requests, by intent; written for this model.

The intents are those of bitext-customer-service and of clinc150 (shared intent data). An answer
asks for what is missing and promises nothing that only a real service could do.
"""

from __future__ import annotations

REPLIES: dict[str, tuple[str, ...]] = {
    "cancel_order": (
        "I can help you cancel that order. What is your order number?",
        "Sure, I can help with a cancellation. Could you give me the order number?",
    ),
    "change_order": (
        "I can help you change your order. What is the order number, and what would you like to change?",
        "Of course. Which order is it, and what should be different?",
    ),
    "change_shipping_address": ("I can help with that. What is the order number and the new address?",),
    "check_cancellation_fee": (
        "I don't have the fees at hand. Which booking or contract is it about?",
        "That depends on the contract. Which one would you like to cancel?",
    ),
    "check_invoice": ("I can look for your invoice. What is the invoice or order number?",),
    "check_payment_methods": ("I don't have the list of payment methods. Which one would you like to use?",),
    "check_refund_policy": ("I don't have the refund policy at hand. Which order is it about?",),
    "complaint": (
        "I'm sorry about that. What happened, and what is your order or booking number?",
        "I'm very sorry to hear that. Could you tell me what went wrong and your order number?",
    ),
    "contact_customer_service": ("You are talking to the automated assistant. What do you need help with?",),
    "contact_human_agent": (
        "I'm an automated assistant and can't connect you myself. What is it about, so that I can try to help?",
    ),
    "create_account": ("I can help you open an account. What name and e-mail address should it have?",),
    "delete_account": ("I can help with closing an account. What is the e-mail address of the account?",),
    "delivery_options": ("Where should it be delivered, and by when do you need it?",),
    "delivery_period": ("When it arrives depends on the order. What is your order number?",),
    "edit_account": ("Of course. Which detail of your account should change?",),
    "get_invoice": ("I can help you get the invoice. What is your order number?",),
    "get_refund": ("I can help you ask for a refund. What is your order number, and what was wrong with it?",),
    "newsletter_subscription": ("Which e-mail address is it about: should I subscribe it or unsubscribe it?",),
    "payment_issue": ("I'm sorry about the trouble. Which order is it, and what does the payment page say?",),
    "place_order": ("Gladly. What would you like to order?", "Sure, what would you like to order?"),
    "recover_password": ("I can help with that. What is the e-mail address or user name of your account?",),
    "registration_problems": ("I'm sorry about that. At which step does the registration fail?",),
    "review": ("Thank you for taking the time. What would you like to say about us?",),
    "set_up_shipping_address": ("Sure. What is the address, with city and postal code?",),
    "switch_account": ("Which account would you like to change to?",),
    "track_order": (
        "I can look for your order. What is the order number?",
        "Sure, let me help you find it. What is your order number?",
    ),
    "track_refund": ("I can check on a refund. What is your order number?",),
    # clinc150
    "restaurant_reservation": (
        "Gladly. Which restaurant is it, for how many people, and at what time?",
        "Sure, I can book a table. In which city, and at what time?",
    ),
    "cancel_reservation": ("I can help you cancel it. What name is the reservation under, and for which day?",),
    "confirm_reservation": ("I can check that. What name is the reservation under, and for which day?",),
    "accept_reservations": ("I can check that. In which city is the restaurant?",),
    "restaurant_suggestion": ("In which city would you like to eat, and what kind of food do you like?",),
    "book_flight": ("Sure. From which city to which city, and on what date?",),
    "flight_status": ("I can look for it. What are the airline and the flight number?",),
    "book_hotel": ("Sure. In which city, from what date, and for how many nights?",),
    "car_rental": ("Sure. In which city and from what date to what date do you need the car?",),
    "uber": ("Sure, I can get you a ride. Where would you like to go?", "Where should the ride take you?"),
    "schedule_meeting": ("Sure. With whom, on which day and at what time?",),
    "meeting_schedule": ("Which day should I look at?",),
    "schedule_maintenance": ("I can help book that. On which day, and for which car?",),
    "order_status": ("I can look for your order. What is the order number?",),
    "lost_luggage": ("I'm sorry about your luggage. Which flight were you on?",),
    "report_lost_card": ("I'm sorry to hear that. Could I get your full name and account number, please?",),
    "report_fraud": ("I'm sorry to hear that. Could I get your full name and account number, please?",),
    "freeze_account": ("I can help with that. Is it the checking or the savings account?",),
    "balance": ("Would you like the balance of your checking or your savings account?",),
    "transfer": ("How much would you like to transfer, to whom, and from which account?",),
    "weather": ("For which city would you like the weather?",),
    "play_music": ("Which song or artist would you like to hear?",),
    "are_you_a_bot": ("Yes, I'm an automated assistant. I help with appointments, bookings and orders.",),
    "what_can_i_ask_you": (
        "You can ask me to make appointments, find and book tables, tickets, hotels and rides, or take an order.",
    ),
    "what_is_your_name": ("I'm the assistant, a small language model. What can I do for you?",),
    "who_made_you": ("I'm a small language model made for support and appointments. What can I do for you?",),
    "greeting": ("Hello! How can I help you today?", "Hi! What can I do for you?"),
    "goodbye": ("Goodbye! Have a great day.", "Thank you, goodbye!"),
    "thank_you": ("You're welcome. Is there anything else I can do for you?", "Happy to help. Have a nice day!"),
    "yes": ("All right. What would you like to book, order or schedule?",),
    "no": ("All right. Is there anything else I can do for you?",),
    "maybe": ("Take your time. Is there anything I can look up for you?",),
    "repeat": ("I have said nothing yet. What can I do for you?",),
}

# Intents of clinc150 that get the fallback: facts, jokes, devices.
OFF_TOPIC = (
    "oos", "calculator", "calories", "cook_time", "definition", "distance", "do_you_have_pets", "exchange_rate",
    "flip_coin", "fun_fact", "how_old_are_you", "ingredient_substitution", "meaning_of_life", "measurement_conversion",
    "nutrition_info", "plug_type", "recipe", "roll_dice", "smart_home", "spelling", "taxes", "tell_joke", "time",
    "translate", "vaccines", "what_are_your_hobbies", "who_do_you_work_for", "date", "food_last", "change_volume",
)  # fmt: skip

# The model works in English; to the languages it has examples of it says so in that language.
OTHER_LANGUAGES: dict[str, tuple[str, ...]] = {
    "de": (
        "Entschuldigung, ich kann leider nur auf Englisch helfen. Könnten Sie Ihre Frage auf Englisch stellen?",
        "Es tut mir leid, ich spreche nur Englisch. Bitte schreiben Sie mir auf Englisch.",
    ),
    "fr": (
        "Désolé, je ne peux vous aider qu'en anglais. Pourriez-vous poser votre question en anglais ?",
        "Je suis désolé, je ne parle que l'anglais. Écrivez-moi en anglais, s'il vous plaît.",
    ),
    "es": (
        "Lo siento, solo puedo ayudar en inglés. ¿Podría hacer su pregunta en inglés?",
        "Perdone, solo hablo inglés. Por favor, escríbame en inglés.",
    ),
}
