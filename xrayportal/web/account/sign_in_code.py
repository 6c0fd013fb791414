"""The second step of a sign-in: a code or a passkey after the password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import RedirectURLMixin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django.views.generic import FormView

from xrayportal.clinics import passkeys
from xrayportal.clinics.models import User
from xrayportal.clinics.second_factor import app_since, recovery_codes_left
from xrayportal.clinics.sign_in import code_turn, pass_code, pending_user
from xrayportal.web.account.forms import ProofForm

if TYPE_CHECKING:  # generic for the type checker only
    FormViewOfProof = FormView[ProofForm]
else:
    FormViewOfProof = FormView


@method_decorator(
    [login_not_required, never_cache, sensitive_post_parameters("code", "passkey")], name="dispatch"
)
class CodeView(RedirectURLMixin, FormViewOfProof):
    """The second step. Attempts on one account take turns, so that all guesses are counted."""

    template_name = "account/sign_in_code.html"
    form_class = ProofForm
    next_page = "home"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Lead to the sign-in page whoever has given no password, or too long ago."""
        self.user = pending_user(request)
        if self.user is None:
            return redirect(
                "home" if request.method == "GET" and request.user.is_authenticated else "sign-in"
            )
        return super().dispatch(request, *args, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Check and record the attempt in one transaction."""
        assert self.user is not None  # noqa: S101  # dispatch has seen to it
        with code_turn(self.user):
            return super().post(request, *args, **kwargs)

    def get_form_kwargs(self) -> dict[str, Any]:
        """The form's arguments, with the person and the request, whose address is throttled."""
        return {**super().get_form_kwargs(), "user": self.user, "request": self.request}

    def get_form(self, form_class: type[ProofForm] | None = None) -> ProofForm:
        """The form, whose one field has the focus."""
        form = super().get_form(form_class)
        form.fields["code"].widget.attrs["autofocus"] = True
        return form

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """With who signs in, and where that leads."""
        assert self.user is not None  # noqa: S101  # dispatch has seen to it
        elsewhere = self.user.passkeys.exclude(domain=passkeys.domain_of(self.request)).first()
        return {
            **super().get_context_data(**kwargs),
            "person": self.user,
            "has_app": app_since(self.user) is not None,
            "passkeys_elsewhere": elsewhere.domain if elsewhere else "",
            "next": self.get_redirect_url(),
        }

    def form_valid(self, form: ProofForm) -> HttpResponse:
        """Sign in; say how many recovery codes are left once they become few."""
        pass_code(self.request, form.user)
        left = recovery_codes_left(form.user)
        if left <= 3:
            sentence = ngettext(
                "You have %(left)d recovery code left. Make new ones on the page “Second factor”.",
                "You have %(left)d recovery codes left. Make new ones on the page “Second factor”.",
                left,
            )
            messages.warning(self.request, sentence % {"left": left})
        # No ``redirect``: that would take the text for the name of a view.
        return HttpResponseRedirect(self.get_success_url())


@login_not_required
@never_cache
@require_POST
def passkey_challenge(request: HttpRequest) -> JsonResponse:
    """What the browser needs to use a passkey, for who has given their password or is signed in."""
    user = request.user if isinstance(request.user, User) else pending_user(request)
    if user is None:
        return JsonResponse({"sentence": _("Too much time has passed. Sign in again.")}, status=401)
    if not passkeys.usable(request, user):
        return JsonResponse({"sentence": _("You have no passkey for this address.")}, status=400)
    return JsonResponse(passkeys.request_options(request, user))
