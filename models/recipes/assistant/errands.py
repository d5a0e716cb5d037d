"""The subjects of made-up dialogues: services with their arguments, and users' requests for them.

Each service is a schema: names of tools and arguments, the required arguments, and the kinds of values (`values.py`).
Original text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """An argument: names it may have, the kind of its values, and whether a call needs it."""

    names: tuple[str, ...]
    kind: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Errand:
    """A service: names its tool may have, how people ask for it, its arguments, and what its result tells.

    `direct`: requests that name arguments, by their place; `gives`: names of the identifier that the result has;
    `undo`: names of the tool that takes that back.
    """

    tools: tuple[str, ...]
    asked: tuple[str, ...]
    direct: tuple[str, ...]
    slots: tuple[Slot, ...]
    gives: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()


_NAME = Slot(("name", "customer_name", "guest_name", "booking_name", "full_name"), "person")
_DAY = Slot(("date", "day", "on_date", "booking_date", "visit_date"), "day")
_TIME = Slot(("time", "start_time", "at", "hour", "arrival_time"), "time")
_ORDER = Slot(("order_id", "order_number", "order", "order_ref"), "identifier")
_CUSTOMER = Slot(("customer_id", "client_number", "account_id", "member_id"), "identifier")
_BOOKED = ("booking_id", "reservation_id", "confirmation_code", "reference", "booking_code")

ERRANDS: tuple[Errand, ...] = (
    Errand(
        ("book_table", "reserve_table", "make_reservation", "BookTable"),
        ("book a table", "reserve a table", "get a table", "make a dinner reservation"),
        ("a table for {0} {1} at {2} under {3}", "dinner for {0} {1}, {2}", "do you have a table for {0} at {2}?",
         "{0} people {1} at {2}, {3}"),
        (Slot(("party_size", "guests", "number_of_people", "seats"), "people"), _DAY, _TIME, _NAME,
         Slot(("restaurant", "venue"), "place", required=False)),
        _BOOKED, ("cancel_reservation", "CancelTable"),
    ),
    Errand(
        ("book_appointment", "create_appointment", "schedule_appointment", "BookVisit"),
        ("book an appointment", "make an appointment", "come in for an appointment", "schedule a visit"),
        ("a {0} {1} at {2} please", "can {3} come in for a {0} {1}?", "is there anything free {1} at {2} for a {0}?",
         "{3} needs a {0}"),
        (Slot(("service", "treatment", "appointment_type"), "service"), _DAY, _TIME, _NAME,
         Slot(("staff", "with_whom", "employee"), "first", required=False)),
        ("appointment_id", "booking_id", "confirmation"), ("cancel_appointment", "delete_appointment"),
    ),
    Errand(
        ("get_order_status", "order_status", "lookup_order", "CheckOrder"),
        ("check on my order", "know where my order is", "track my order", "know the status of an order"),
        ("where is order {0}?", "what happened to {0}?", "has {0} been shipped yet?", "order {0} has not arrived"),
        (_ORDER,), (), (), ("status", "arrives"),
    ),
    Errand(
        ("track_parcel", "get_tracking", "find_package", "TrackShipment"),
        ("track a parcel", "find my package", "know where my parcel is"),
        ("where is {0} right now?", "my parcel {0} has not come"),
        (Slot(("tracking_number", "parcel_id", "tracking_code"), "identifier"),
         Slot(("zip_code", "postcode"), "digits", required=False)), (), (), ("status", "arrives"),
    ),
    Errand(
        ("cancel_order", "CancelOrder", "void_order"),
        ("cancel an order", "cancel my order", "take back an order"),
        ("cancel order {0}", "please cancel {0}", "I don't want {0} any more"),
        (_ORDER, Slot(("reason",), "reason", required=False)), (), (), ("status",),
    ),
    Errand(
        ("return_item", "create_return", "request_refund", "StartReturn"),
        ("return something", "send an item back", "get a refund"),
        ("I want to return the {1} of order {0}: {2}", "the {1} of {0} has to go back, {2}",
         "{2}, I want my money back for {0}"),
        (_ORDER, Slot(("item", "product", "article"), "item"), Slot(("reason", "why"), "reason")),
        ("return_id", "case_number"), (), ("status",),
    ),
    Errand(
        ("change_address", "set_shipping_address", "UpdateAddress"),
        ("change my delivery address", "change the shipping address", "have it sent somewhere else"),
        ("send order {0} to {1} in {2}", "{0} should go to {1}, {2}", "my new address is {1}, {2}"),
        (_ORDER, Slot(("street", "address", "new_address"), "street"), Slot(("city", "town"), "place")), (), (),
         ("status",),
    ),
    Errand(
        ("buy_tickets", "order_tickets", "BookTickets", "get_tickets"),
        ("buy tickets", "get tickets for a show", "order tickets"),
        ("{1} tickets for {0}", "I need tickets to {0}, {1} of them", "{1} for {0} please"),
        (Slot(("event", "event_name", "show_name"), "title"),
         Slot(("quantity", "tickets", "number_of_tickets"), "people"),
         Slot(("date", "show_date"), "day", required=False), Slot(("category", "area"), "level", required=False)),
        ("order_id", "ticket_code"), ("cancel_tickets", "refund_tickets"),
    ),
    Errand(
        ("book_room", "reserve_room", "BookHotelRoom"),
        ("book a room", "reserve a hotel room", "stay at a hotel"),
        ("a room in {0} from {1} for {2}", "I need a hotel in {0} {1}, {2}"),
        (Slot(("city", "destination", "location"), "place"), Slot(("check_in", "arrival_date", "from_date"), "day"),
         Slot(("nights", "number_of_nights", "stay"), "nights"), Slot(("guests", "adults"), "people", required=False)),
        _BOOKED, ("cancel_room", "cancel_booking"),
    ),
    Errand(
        ("book_taxi", "order_ride", "CallTaxi", "request_ride"),
        ("get a taxi", "order a ride", "book a cab"),
        ("a taxi from {0} to {1}", "bring me from {0} to {1}", "I have to get to {1}, I'm at {0}",
         "taxi from {0} to {1} at {2} for {3}"),
        (Slot(("pickup", "pickup_address", "origin"), "from"),
         Slot(("destination", "dropoff", "drop_off_address"), "to"),
         Slot(("time", "pickup_time"), "time", required=False),
         Slot(("passengers", "riders"), "people", required=False)),
        ("ride_id",), ("cancel_ride",), ("driver",),
    ),
    Errand(
        ("book_repair", "schedule_service", "workshop_booking"),
        ("bring in my car", "have something repaired", "book a repair"),
        ("my car {0} has a problem: {1}", "{1}. The car is {0}", "can you look at {0} {2}? {1}"),
        (Slot(("license_plate", "registration", "car_plate"), "plate"), Slot(("problem", "issue", "work"), "trouble"),
         _DAY, Slot(("phone", "phone_number"), "phone", required=False)),
        ("job_number", "repair_id"), ("cancel_repair",),
    ),
    Errand(
        ("register_participant", "sign_up", "enroll", "JoinCourse"),
        ("sign up for a course", "register for a class", "join a course"),
        ("enter {1} for {0}", "{1} wants to join {0}", "register {1} for {0} please"),
        (Slot(("course", "course_name", "workshop"), "title"), Slot(("participant", "attendee", "name"), "person")),
        ("registration_id", "seat_code"), ("cancel_registration", "unregister"),
    ),
    Errand(
        ("open_ticket", "create_ticket", "report_issue", "NewSupportCase"),
        ("report a problem", "open a support ticket", "report something broken"),
        ("my {0} has a problem: {1}", "the {0} is broken, {1}", "{1}, it's the {0}"),
        (Slot(("device", "product", "machine"), "item"), Slot(("problem", "description", "error"), "trouble"),
         Slot(("serial_number", "device_id"), "identifier", required=False)),
        ("ticket_id", "case_id", "ticket_number"), ("close_ticket",),
    ),
    Errand(
        ("get_invoice", "send_invoice", "download_invoice"),
        ("get an invoice", "have my invoice", "see an invoice"),
        ("the invoice for {1} please", "I need my {1} invoice", "send me the invoice of {1}, I am {0}"),
        (_CUSTOMER, Slot(("month", "billing_month", "period"), "month")), (), (), ("amount", "due"),
    ),
    Errand(
        ("transfer_money", "send_money", "MakePayment", "make_transfer"),
        ("transfer money", "send some money", "make a payment"),
        ("transfer {1} to {0}", "pay {0} {1}", "{0} should get {1} from me"),
        (Slot(("recipient", "to_account", "beneficiary"), "person"), Slot(("amount", "value"), "amount"),
         Slot(("note", "purpose"), "title", required=False)), ("transfer_id",), (), ("status",),
    ),
    Errand(
        ("schedule_callback", "arrange_call", "CallMeBack"),
        ("be called back", "get a call back", "talk to somebody on the phone"),
        ("please call {1} back at {0}", "I'm {1}, call me at {0}"),
        (Slot(("phone", "number", "phone_number"), "phone"), _NAME,
         Slot(("time", "call_time"), "time", required=False)),
        (), (), ("status",),
    ),
    Errand(
        ("reschedule", "move_booking", "change_appointment", "RescheduleVisit"),
        ("move my appointment", "change the date of my booking", "reschedule an appointment"),
        ("move {0} to {1} at {2}", "can {0} be {1} at {2} instead?", "I can't make {0}, what about {1}?"),
        (Slot(("booking_id", "appointment_id", "reference"), "identifier"), Slot(("new_date", "date", "day"), "day"),
         Slot(("new_time", "time"), "time")), (), (), ("status",),
    ),
    Errand(
        ("cancel_booking", "cancel_appointment", "remove_reservation"),
        ("cancel my booking", "cancel an appointment", "cancel a reservation"),
        ("cancel {0} please", "{0} is not needed any more", "I won't come, my booking is {0}"),
        (Slot(("booking_id", "appointment_id", "reservation_code"), "identifier"),), (), (), ("status",),
    ),
    Errand(
        ("schedule_meeting", "create_meeting", "add_event", "PlanMeeting"),
        ("set up a meeting", "plan a meeting", "put something in the calendar"),
        ("{0} {1} at {2}", "put {0} in for {1} at {2}", "a meeting about {0} {1}"),
        (Slot(("title", "subject", "topic"), "title"), _DAY, _TIME,
         Slot(("room", "location"), "place", required=False)),
        ("event_id", "meeting_id"), ("delete_event", "cancel_meeting"),
    ),
    Errand(
        ("rent_car", "reserve_vehicle", "book_car", "RentBike"),
        ("rent a car", "get a rental car", "rent something for a few days"),
        ("a car in {0} from {1} for {2}", "I need a car in {0} for {2}"),
        (Slot(("city", "station", "pickup_city"), "place"), Slot(("start_date", "pickup_date"), "day"),
         Slot(("days", "rental_days", "duration"), "nights"),
         Slot(("category", "vehicle_class"), "level", required=False)),
        ("rental_id", "contract"), ("cancel_rental",),
    ),
    Errand(
        ("order_food", "place_order", "add_order"),
        ("order food", "have something delivered", "order something to eat"),
        ("{1} {0} to {2}", "I'd like {1} {0} please", "bring me {1} {0}"),
        (Slot(("item", "dish", "meal"), "dish"), Slot(("quantity", "count"), "people"),
         Slot(("street", "address"), "street")), ("order_id",), ("cancel_food",), ("arrives",),
    ),
    Errand(
        ("get_weather", "weather_forecast", "forecast"),
        ("know the weather", "hear the weather forecast", "see the forecast"),
        ("what will the weather be in {0} {1}?", "is it going to rain in {0} {1}?"),
        (Slot(("city", "place", "location"), "place"), _DAY), (), (), ("sky", "degrees"),
    ),
    Errand(
        ("change_quantity", "update_order", "amend_order"),
        ("change how many I ordered", "change the quantity of an order", "change my order"),
        ("make order {0} {1} pieces", "I ordered the wrong number, {0} should be {1}"),
        (_ORDER, Slot(("quantity", "new_quantity", "pieces"), "people")), (), (), ("status",),
    ),
    Errand(
        ("update_contact", "set_email", "change_phone"),
        ("change my phone number", "update my contact details", "give you a new number"),
        ("my new number is {1}", "{1} is my number now, customer {0}"),
        (_CUSTOMER, Slot(("phone", "new_phone", "mobile"), "phone")), (), (), ("status",),
    ),
)  # fmt: skip

# Synonyms for the words of a tool's name.
SYNONYMS: Mapping[str, Sequence[str]] = {
    "book": ("reserve", "arrange", "take", "secure", "add"),
    "reserve": ("book", "keep", "block"),
    "schedule": ("plan", "arrange", "set", "fix"),
    "create": ("make", "add", "new", "open", "start"),
    "get": ("find", "show", "read", "lookup", "query", "see"),
    "track": ("trace", "find", "follow", "check"),
    "lookup": ("find", "search", "check", "show"),
    "cancel": ("remove", "drop", "delete", "revoke", "end", "undo"),
    "change": ("edit", "set", "modify", "correct"),
    "update": ("edit", "set", "modify", "renew"),
    "order": ("purchase", "delivery", "shipment", "goods"),
    "parcel": ("package", "shipment", "delivery", "box", "letter"),
    "package": ("parcel", "shipment", "consignment"),
    "status": ("state", "progress", "whereabouts"),
    "table": ("seat", "seats", "place", "dinner"),
    "appointment": ("visit", "session", "slot", "treatment", "consultation"),
    "reservation": ("booking", "table", "place"),
    "booking": ("reservation", "appointment", "order"),
    "return": ("refund", "complaint", "send_back"),
    "refund": ("return", "money_back"),
    "tickets": ("seats", "entry", "passes", "cards"),
    "room": ("hotel", "stay", "lodging", "bed"),
    "taxi": ("car", "ride", "driver", "lift"),
    "ride": ("taxi", "trip", "car"),
    "repair": ("workshop", "mechanic", "maintenance", "fix"),
    "service": ("workshop", "inspection", "repair"),
    "participant": ("student", "attendee", "guest", "member"),
    "ticket": ("report", "case", "complaint", "incident"),
    "issue": ("problem", "defect", "damage", "incident"),
    "invoice": ("statement", "receipt", "account"),
    "money": ("amount", "payment", "funds", "cash"),
    "transfer": ("send", "pay", "move"),
    "call": ("phone_call", "telephone", "conversation"),
    "meeting": ("event", "talk", "conference", "call"),
    "event": ("meeting", "entry", "date"),
    "car": ("vehicle", "auto", "truck", "bike"),
    "food": ("meal", "dish", "delivery", "lunch"),
    "weather": ("forecast", "temperature", "climate"),
    "quantity": ("amount", "count", "number"),
    "contact": ("phone", "details", "profile"),
    "address": ("destination", "place", "street"),
    "customer": ("client", "guest", "member", "user", "buyer"),
    "name": ("person", "client", "guest", "customer", "who", "patient", "visitor"),
    "date": ("day", "on", "when"),
    "day": ("date", "on_day", "when"),
    "time": ("clock", "hour", "at_time"),
    "city": ("town", "place", "where"),
    "destination": ("to", "goal", "target", "where_to"),
    "pickup": ("start", "from", "origin"),
    "people": ("persons", "heads", "guests"),
    "guests": ("people", "persons", "visitors"),
    "problem": ("trouble", "fault", "defect", "complaint"),
    "reason": ("cause", "why", "motive"),
    "phone": ("telephone", "mobile", "call_number"),
    "number": ("code", "ref", "key", "no"),
    "id": ("code", "number", "ref", "key"),
    "amount": ("sum_of_money", "price", "euros"),
    "recipient": ("receiver", "to_whom", "person"),
    "participants": ("people", "members"),
    "course": ("class_name", "training", "workshop"),
    "staff": ("stylist", "barber", "trainer", "doctor", "with_person"),
    "item": ("product", "thing", "article", "goods"),
}
