"""The page that asks a signed-in person again who they are: by their second factor, else the password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView

from xrayportal.clinics.actors import person_of
from xrayportal.clinics.sessions import note_confirmation
from xrayportal.clinics.sign_in import code_turn, turn
from xrayportal.web.account.forms import PresentPasswordForm, ProofForm

if TYPE_CHECKING:  # generic for the type checker only
    FormViewOfAny = FormView[forms.Form]
else:
    FormViewOfAny = FormView


@method_decorator([never_cache, sensitive_post_parameters("code", "passkey", "password")], name="dispatch")
class ConfirmView(RedirectURLMixin, FormViewOfAny):
    """Ask, note the answer in the session and lead back. Guesses are counted as at the sign-in."""

    template_name = "account/confirm.html"
    next_page = "home"

    def get_form(self, form_class: type[forms.Form] | None = None) -> forms.Form:
        """A proof for people with a second factor, else the password; the field has the focus."""
        user = person_of(self.request)
        kind = ProofForm if user.second_factor_since is not None else PresentPasswordForm
        form = kind(user=user, request=self.request, **self.get_form_kwargs())
        next(iter(form.fields.values())).widget.attrs["autofocus"] = True
        return form

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check and record the attempt in one transaction."""
        user = person_of(request)
        with turn(user.email, request), code_turn(user):
            return super().post(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With where the answer leads."""
        context = super().get_context_data(**kwargs)
        has_factor = isinstance(context["form"], ProofForm)
        return {**context, "has_factor": has_factor, "next": self.get_redirect_url()}

    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Note it and lead back."""
        note_confirmation(self.request)
        # No ``redirect``: that would take the text for the name of a view.
        return HttpResponseRedirect(self.get_success_url())
